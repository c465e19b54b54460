// Domains before they have a page: what can be decided, and refused, without
// taking a frame.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_VM_PLANNED_DOMAIN_H_
#define SIMVISOR_DOMAIN_VM_PLANNED_DOMAIN_H_

#include <memory>

#include "absl/status/statusor.h"
#include "domain/frames/frame_pool.h"
#include "domain/guest/built_image.h"
#include "domain/units/units.h"
#include "domain/vm/domain.h"

namespace simvisor {

// A domain that owns no frame, and how DomainBuild::Populate() fills it.
struct PlannedDomain {
  std::shared_ptr<Domain> domain;
  BuildPlan plan;
};

// Errors as for PlanBuild(), and RESOURCE_EXHAUSTED
// HOST_ADDRESS_SPACE_EXHAUSTED.  `pool` must outlive the domain.
absl::StatusOr<PlannedDomain> PlanDomain(Domain::Params params,
                                         FramePool& pool);

// A domain that comes out of an image whose pfns end at `end`.
// RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED.
absl::StatusOr<std::shared_ptr<Domain>> PlanIncoming(Domain::Params params,
                                                     Pfn end, FramePool& pool);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_PLANNED_DOMAIN_H_
