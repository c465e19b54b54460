// Answers that gRPC cannot pass to the kernel, since their clients do not read.
//
// While there is room in the message budget, such an answer may wait forever.
// When a message finds no room, the calls whose answers have waited too long
// for their size are cancelled.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_SERVER_CALLS_UNSENT_ANSWERS_H_
#define SIMVISOR_SERVER_CALLS_UNSENT_ANSWERS_H_

#include <grpcpp/server_context.h>

#include <cstddef>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace simvisor::server {

class UnsentAnswers {
 public:
  static constexpr absl::Duration kPatience = absl::Seconds(10);
  static constexpr size_t kBytesPerSecond = 64 << 10;

  // An answer of a call.  Owned by the call's reactor; destroyed in OnDone() at
  // the latest.
  class Entry {
   public:
    explicit Entry(grpc::CallbackServerContext* context) : context_(context) {}
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry() { Remove(); }

    // gRPC has sent the answer or given it up.  A no-op if it was not added.
    void Remove();

   private:
    friend class UnsentAnswers;
    grpc::CallbackServerContext* const context_;
    UnsentAnswers* answers_ = nullptr;  // set while it is added
    absl::Time until_;                  // not cancelled before
    // Neighbours in the list: adding an entry allocates nothing.
    Entry* before_ = nullptr;
    Entry* after_ = nullptr;
  };

  explicit UnsentAnswers(absl::Duration patience = kPatience)
      : patience_(patience) {}
  UnsentAnswers(const UnsentAnswers&) = delete;
  UnsentAnswers& operator=(const UnsentAnswers&) = delete;

  // gRPC is about to get an answer of `size` bytes.
  // REQUIRES: `entry` is not added.
  void Add(Entry* entry, size_t size) ABSL_LOCKS_EXCLUDED(mu_);

  // Cancels the calls whose answers have waited longer than the patience plus a
  // second per kBytesPerSecond, and returns their number.  Their memory is free
  // a moment later.  Does nothing within a tenth of a second of the last look.
  size_t CancelOverdue() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const absl::Duration patience_;

  absl::Mutex mu_;
  Entry* first_ ABSL_GUARDED_BY(mu_) = nullptr;  // the latest one
  absl::Time looked_at_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_UNSENT_ANSWERS_H_
