#include "server/machine/mmu_waiter.h"

#include <algorithm>

#include "base/status_macros.h"
#include "server/machine/fault_points.h"

namespace simvisor::server {
namespace {

// How often a wait looks whether its call is over.
constexpr absl::Duration kSlice = absl::Milliseconds(20);

FaultPoint PointOf(ChangePoint point) {
  switch (point) {
    case ChangePoint::kRegistering:
      return FaultPoint::kMmuRegistering;
    case ChangePoint::kBegin:
      return FaultPoint::kMmuBegin;
    case ChangePoint::kAnswered:
      return FaultPoint::kMmuAnswered;
    case ChangePoint::kChanged:
      return FaultPoint::kMmuChanged;
    case ChangePoint::kRelease:
      break;
  }
  return FaultPoint::kMmuRelease;
}

}  // namespace

absl::Time ToLeaseTime(Clock::Time time) {
  return absl::UnixEpoch() + absl::FromChrono(time.time_since_epoch());
}

Clock::Time FromLeaseTime(absl::Time time) {
  if (time == absl::InfiniteFuture()) return Clock::Time::max();
  return Clock::Time(absl::ToChronoNanoseconds(time - absl::UnixEpoch()));
}

absl::Status MmuWaiter::Wait(const ChangeGate& gate, StopCheck stop,
                             absl::Time until) {
  while (!gate.is_open()) {
    SIMVISOR_RETURN_IF_ERROR(stop());
    const absl::Duration left = until - Now();
    if (left <= absl::ZeroDuration()) break;
    gate.WaitFor(std::min(left, kSlice));
  }
  return absl::OkStatus();
}

absl::Status MmuWaiter::At(ChangePoint point, const DomainIdentity& domain) {
  if (faults_ == nullptr) return absl::OkStatus();
  return faults_->Reach(PointOf(point), [&domain] { return domain.name(); });
}

}  // namespace simvisor::server
