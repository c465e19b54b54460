// Streams that wait for their clients to send a request.
//
// A client may keep an idle stream open as long as there are places for other
// calls.  When the places run out, the stream that has been idle longest is
// cancelled, if it has been idle for long enough.
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

  // A call's entry; owned by the call.
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

  // The call waits for a message from its client.  A no-op if it was added
  // before.
  void Add(Entry* entry) ABSL_LOCKS_EXCLUDED(mu_);
  // The call no longer waits.
  // REQUIRES: the call is not finished yet.
  void Remove(Entry* entry) ABSL_LOCKS_EXCLUDED(mu_);

  // Cancels the call that has waited longest; false if it has not waited long
  // enough, or no call waits.
  bool CancelOldest() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const absl::Duration long_enough_;

  absl::Mutex mu_;
  std::list<Entry*> waiting_ ABSL_GUARDED_BY(mu_);  // the oldest first
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_IDLE_CALLS_H_
