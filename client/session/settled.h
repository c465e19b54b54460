// Asking the daemon again until what it says is settled.
//
// Thread safety: as the functions that the caller passes.

#ifndef SIMVISOR_CLIENT_SESSION_SETTLED_H_
#define SIMVISOR_CLIENT_SESSION_SETTLED_H_

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace simvisor::client {

// How long a command asks.  A test gives another clock, which moves when the
// command sleeps.
struct Patience {
  absl::Duration of_call = absl::Seconds(10);  // DEADLINE_EXCEEDED after it
  absl::Duration in_all = absl::Seconds(10);   // no call begins after it
  std::function<absl::Time()> now = &absl::Now;
  std::function<void(absl::Duration)> sleep = &absl::SleepFor;
};

inline constexpr absl::Duration kLookAgainAfter = absl::Milliseconds(50);

// What `look(timeout)`, an absl::StatusOr, says once `is_settled` holds for its
// value, when it fails, or when patience ends.  A later look that takes too
// long changes nothing: what is known by then is returned.
template <typename Look, typename IsSettled>
auto LookUntilSettled(const Patience& patience, Look look,
                      IsSettled is_settled) {
  const absl::Time end = patience.now() + patience.in_all;
  auto known = look(patience.of_call);
  while (known.ok() && !is_settled(*known) &&
         patience.now() + kLookAgainAfter < end) {
    patience.sleep(kLookAgainAfter);
    auto later = look(patience.of_call);
    if (absl::IsDeadlineExceeded(later.status())) break;
    known = std::move(later);
  }
  return known;
}

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SESSION_SETTLED_H_
