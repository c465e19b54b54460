#include "server/threads/clock.h"

#include "absl/time/time.h"

namespace simvisor::server {
namespace {

class SteadyClock final : public Clock {
 public:
  Time Now() const override { return std::chrono::steady_clock::now(); }

  void Await(absl::Mutex* mu, const absl::Condition& condition,
             Time until) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (until == Time::max()) {
      mu->Await(condition);
    } else {
      mu->AwaitWithTimeout(condition, absl::FromChrono(until - Now()));
    }
  }
};

}  // namespace

Clock* SystemClock() {
  static SteadyClock clock;
  return &clock;
}

}  // namespace simvisor::server
