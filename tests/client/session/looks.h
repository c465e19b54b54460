// Patience for a number of looks, by a clock that moves only when it is slept.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_CLIENT_SESSION_LOOKS_H_
#define SIMVISOR_TESTS_CLIENT_SESSION_LOOKS_H_

#include <memory>

#include "absl/time/time.h"
#include "client/session/settled.h"

namespace simvisor::client {

inline Patience Looks(int most) {
  const auto now = std::make_shared<absl::Time>(absl::UnixEpoch());
  return {.of_call = absl::InfiniteDuration(),
          .in_all = most * kLookAgainAfter,
          .now = [now] { return *now; },
          .sleep = [now](absl::Duration time) { *now += time; }};
}

}  // namespace simvisor::client

#endif  // SIMVISOR_TESTS_CLIENT_SESSION_LOOKS_H_
