#include "domain/units/change_waiter.h"

#include <algorithm>
#include <chrono>

#include "base/status_macros.h"

namespace simvisor {
namespace {

constexpr absl::Duration kSlice = absl::Milliseconds(20);

class Blocking final : public ChangeWaiter {
 public:
  absl::Time Now() override {
    return absl::UnixEpoch() +
           absl::FromChrono(
               std::chrono::steady_clock::now().time_since_epoch());
  }

  absl::Status Wait(const ChangeGate& gate, StopCheck stop,
                    absl::Time until) override {
    while (true) {
      SIMVISOR_RETURN_IF_ERROR(stop());
      const absl::Duration left = until - Now();
      if (gate.WaitFor(std::clamp(left, absl::ZeroDuration(), kSlice)) ||
          left <= absl::ZeroDuration()) {
        return absl::OkStatus();
      }
    }
  }
};

}  // namespace

absl::Status ChangeWaiter::At(ChangePoint, const DomainIdentity&) {
  return absl::OkStatus();
}

ChangeWaiter& BlockingWaiter() {
  static Blocking waiter;
  return waiter;
}

}  // namespace simvisor
