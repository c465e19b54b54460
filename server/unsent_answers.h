// Answers that gRPC has and the system does not, since their clients do not
// read.
//
// While there is room in the budget of messages, such an answer waits as long
// as its client likes.  When somebody finds no room, those go that have waited
// for long, by their size: their calls are cancelled.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_SERVER_UNSENT_ANSWERS_H_
#define SIMVISOR_SERVER_UNSENT_ANSWERS_H_

#include <grpc/grpc.h>

#include <cstddef>
#include <list>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace simvisor::server {

class UnsentAnswers {
 private:
  struct State;

 public:
  static constexpr absl::Duration kPatience = absl::Seconds(10);
  static constexpr size_t kBytesPerSecond = 64 << 10;

  // An answer that is unsent until this object goes, which may be after the
  // UnsentAnswers have.  Holds the call, so that it can be cancelled.
  class Ticket {
   public:
    // `size` is that of the answer.
    Ticket(const UnsentAnswers& answers, grpc_call* call, size_t size);
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    ~Ticket();

   private:
    friend class UnsentAnswers;
    const std::shared_ptr<State> state_;
    grpc_call* const call_;
    const absl::Time until_;  // how long it may wait in any case
    std::list<Ticket*>::iterator at_;
  };

  explicit UnsentAnswers(absl::Duration patience = kPatience);
  UnsentAnswers(const UnsentAnswers&) = delete;
  UnsentAnswers& operator=(const UnsentAnswers&) = delete;

  // Cancels the calls whose answers have waited for `patience`, and a second
  // for each kBytesPerSecond.  What they hold is free a moment later.  How many
  // there were; looks again after a tenth of a second at the earliest.
  size_t CancelOverdue();

 private:
  struct State {
    explicit State(absl::Duration given) : patience(given) {}
    const absl::Duration patience;
    absl::Mutex mu;
    std::list<Ticket*> tickets ABSL_GUARDED_BY(mu);
    absl::Time looked_at ABSL_GUARDED_BY(mu) = absl::InfinitePast();
  };

  const std::shared_ptr<State> state_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_UNSENT_ANSWERS_H_
