// How the daemon's changes wait for secondary MMUs, and the time of leases.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_SERVER_MACHINE_MMU_WAITER_H_
#define SIMVISOR_SERVER_MACHINE_MMU_WAITER_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "domain/units/change_waiter.h"
#include "domain/units/domain_identity.h"
#include "server/machine/fault_injector.h"
#include "server/threads/clock.h"

namespace simvisor::server {

// Leases are counted by the monotonic clock, whose origin becomes the epoch of
// absl::Time; so they agree with BlockingWaiter() about SystemClock().
absl::Time ToLeaseTime(Clock::Time time);
// Time::max() for InfiniteFuture().
Clock::Time FromLeaseTime(absl::Time time);

// Waits on the calling thread, and reaches the fault points of changes.
class MmuWaiter final : public ChangeWaiter {
 public:
  // Both outlive it; `faults` may be null.
  MmuWaiter(const Clock* clock, FaultInjector* faults)
      : clock_(clock), faults_(faults) {}

  absl::Time Now() override { return ToLeaseTime(clock_->Now()); }
  absl::Status Wait(const ChangeGate& gate, StopCheck stop,
                    absl::Time until) override;
  absl::Status At(ChangePoint point, const DomainIdentity& domain) override;

 private:
  const Clock* const clock_;
  FaultInjector* const faults_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_MMU_WAITER_H_
