#include "domain/vm/planned_domain.h"

#include <cstdint>
#include <utility>

#include "base/status_macros.h"

namespace simvisor {

absl::StatusOr<PlannedDomain> PlanDomain(Domain::Params params,
                                         FramePool& pool) {
  const DomainSpec& spec = params.spec;
  const Abi& abi = AbiOf(spec.arch);
  SIMVISOR_ASSIGN_OR_RETURN(
      BuildPlan plan,
      PlanBuild({.abi = &abi,
                 .name = spec.name,
                 .config = ConfigOf(spec),
                 .memory = spec.memory,
                 .ceiling = params.no_ceiling ? kNoCeiling : params.max_pages,
                 .initial = params.initial,
                 .faults = params.faults}));
  SIMVISOR_ASSIGN_OR_RETURN(
      std::unique_ptr<P2mWords> words,
      P2mWords::Create(abi, plan.setup.area_end, params.faults));
  return PlannedDomain{
      std::make_shared<Domain>(std::move(params), std::move(words), pool),
      std::move(plan)};
}

absl::StatusOr<std::shared_ptr<Domain>> PlanIncoming(Domain::Params params,
                                                     Pfn end, FramePool& pool) {
  const Abi& abi = AbiOf(params.spec.arch);
  const uint64_t leaf = abi.leaf_span();
  const Pfn list_end((end.value() + leaf - 1) / leaf * leaf);
  SIMVISOR_ASSIGN_OR_RETURN(std::unique_ptr<P2mWords> words,
                            P2mWords::Create(abi, list_end, params.faults));
  words->Resize(list_end);
  return std::make_shared<Domain>(std::move(params), std::move(words), pool);
}

}  // namespace simvisor
