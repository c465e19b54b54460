// Secondary MMUs in this process, and a waiter at whose points a test acts.
//
// Thread safety: one thread.

#ifndef SIMVISOR_TESTS_DOMAIN_SMMU_COUNTING_MMU_H_
#define SIMVISOR_TESTS_DOMAIN_SMMU_COUNTING_MMU_H_

#include <functional>
#include <map>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "domain/collections/extent_set.h"
#include "domain/smmu/mmu_messages.h"
#include "domain/smmu/mmu_types.h"
#include "domain/smmu/secondary_mmu.h"
#include "domain/units/change_waiter.h"
#include "domain/units/units.h"

namespace simvisor {

// Counts what it is told, and maps nothing.
class CountingMmu final : public SecondaryMmu {
 public:
  void Begin(const mmu::RangeBegin&) override { ++begins; }
  void Page(const mmu::PageInvalidate&) override { ++pages; }
  void End(RangeId, uint64_t, bool) override { ++ends; }
  PfnSet Young(PfnExtent, bool) override { return PfnSet(); }
  void Release(const mmu::Release& release) override {
    reason = release.reason;
  }

  int begins = 0, pages = 0, ends = 0;
  std::optional<ReleaseReason> reason;
};

// Runs a step of the test when a change first gets to a point; its time stands
// still.  A change whose gate is closed at a wait fails.
class SteppedWaiter final : public ChangeWaiter {
 public:
  absl::Time Now() override { return absl::UnixEpoch(); }
  absl::Status Wait(const ChangeGate& gate, StopCheck, absl::Time) override {
    return gate.is_open() ? absl::OkStatus()
                          : absl::InternalError("no step opens the gate");
  }
  absl::Status At(ChangePoint point, const DomainIdentity&) override {
    if (auto step = steps.extract(point); !step.empty()) step.mapped()();
    return absl::OkStatus();
  }

  std::map<ChangePoint, std::function<void()>> steps;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_SMMU_COUNTING_MMU_H_
