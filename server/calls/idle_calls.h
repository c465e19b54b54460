// Streams that wait for their clients to ask for something.
//
// A client may keep such a stream open as long as it likes, but not the place
// that somebody else needs: when there is none left, the one that has waited
// longest is cancelled, if that is long enough.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_SERVER_CALLS_IDLE_CALLS_H_
#define SIMVISOR_SERVER_CALLS_IDLE_CALLS_H_

#include <grpcpp/server_context.h>

#include <list>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace simvisor::server {

class IdleCalls {
 public:
  static constexpr absl::Duration kLongEnough = absl::Seconds(10);

  // Where a call stands; it belongs to the call.
  class Entry {
   public:
    explicit Entry(grpc::CallbackServerContext* context) : context_(context) {}

   private:
    friend class IdleCalls;
    grpc::CallbackServerContext* const context_;
    absl::Time since_;
    bool waits_ = false;
    std::list<Entry*>::iterator at_;
  };

  explicit IdleCalls(absl::Duration long_enough = kLongEnough)
      : long_enough_(long_enough) {}
  IdleCalls(const IdleCalls&) = delete;
  IdleCalls& operator=(const IdleCalls&) = delete;

  // The call waits for a message of its client's; nothing new if it did before.
  void Add(Entry* entry) ABSL_LOCKS_EXCLUDED(mu_);
  // It does not any longer.  REQUIRES: the call is not finished before that.
  void Remove(Entry* entry) ABSL_LOCKS_EXCLUDED(mu_);

  // Cancels the call that has waited longest; false if none has waited long
  // enough.
  bool CancelOldest() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const absl::Duration long_enough_;

  absl::Mutex mu_;
  std::list<Entry*> waiting_ ABSL_GUARDED_BY(mu_);  // the oldest first
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_IDLE_CALLS_H_
