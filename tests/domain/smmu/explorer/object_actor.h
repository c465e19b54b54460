// A secondary MMU in the same process, which changes call back.
//
// Its mappings come in its queue, and its begins come as calls.  So in a call
// it takes its queue first: what was granted before the begin is there.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_OBJECT_ACTOR_H_
#define SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_OBJECT_ACTOR_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "domain/smmu/secondary_mmu.h"
#include "tests/domain/smmu/explorer/world.h"

namespace simvisor {

class ObjectActor : public Actor, public SecondaryMmu {
 public:
  // It faults in these pages, one after the other.
  ObjectActor(World& world, std::vector<FaultRequest> faults);

  void AddOptions(std::vector<int>& options) const override;
  void Take(int option) override;
  bool ended() const override { return true; }
  void Check() const override;
  void CheckEnd() const override;
  void AppendState(std::string& text) const override;
  std::string Describe(int option) const override;

  void Begin(const mmu::RangeBegin& range) override;
  void Page(const mmu::PageInvalidate& page) override;
  void End(RangeId range, uint64_t seq, bool aborted) override;
  PfnSet Young(PfnExtent, bool) override { return {}; }
  void Release(const mmu::Release& release) override;

 private:
  enum Option { kFault, kReadQueue };

  void ReadQueue();
  void DropIn(PfnExtent pfns);

  World& world_;
  const std::vector<FaultRequest> faults_;
  SubscriptionId id_{};
  size_t faults_made_ = 0;
  size_t faults_unread_ = 0;
  std::map<uint64_t, uint64_t> table_;  // pfn -> mfn
  std::set<uint64_t> open_;             // ranges that it was called for
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_OBJECT_ACTOR_H_
