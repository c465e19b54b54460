// Answers that gRPC has and the system does not, since their clients do not
// read.
//
// While there is room in the budget of messages, such an answer waits as long
// as its client likes.  When a message finds no room, those go that have waited
// for long, by their size: their calls are cancelled.
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

  // An answer of a call; it belongs to the call's reactor, and goes in or
  // before OnDone().
  class Entry {
   public:
    explicit Entry(grpc::CallbackServerContext* context) : context_(context) {}
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry() { Remove(); }

    // gRPC has sent the answer, or will not.  Nothing if it was not added.
    void Remove();

   private:
    friend class UnsentAnswers;
    grpc::CallbackServerContext* const context_;
    UnsentAnswers* answers_ = nullptr;  // that it was added to
    absl::Time until_;                  // how long it may wait in any case
    // Its neighbours, so that adding it takes no memory.
    Entry* before_ = nullptr;
    Entry* after_ = nullptr;
  };

  explicit UnsentAnswers(absl::Duration patience = kPatience)
      : patience_(patience) {}
  UnsentAnswers(const UnsentAnswers&) = delete;
  UnsentAnswers& operator=(const UnsentAnswers&) = delete;

  // gRPC is about to get an answer of `size` bytes.  REQUIRES: the last one of
  // `entry` has been removed.
  void Add(Entry* entry, size_t size) ABSL_LOCKS_EXCLUDED(mu_);

  // Cancels the calls whose answers have waited for the patience, and a second
  // for each kBytesPerSecond.  What they hold is free a moment later.  How many
  // there were; looks again after a tenth of a second at the earliest.
  size_t CancelOverdue() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const absl::Duration patience_;

  absl::Mutex mu_;
  Entry* first_ ABSL_GUARDED_BY(mu_) = nullptr;  // the last that was added
  absl::Time looked_at_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_UNSENT_ANSWERS_H_
