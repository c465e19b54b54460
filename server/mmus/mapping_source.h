// The source of ListSecondaryMappings: the recorded mappings of a subscription.
//
// Thread safety: one thread at a time per object.

#ifndef SIMVISOR_SERVER_MMUS_MAPPING_SOURCE_H_
#define SIMVISOR_SERVER_MMUS_MAPPING_SOURCE_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "domain/smmu/mmu_types.h"
#include "domain/units/units.h"
#include "domain/vm/domain.h"
#include "server/calls/progress.h"
#include "server/machine/machine.h"
#include "simvisor/v1/secondary_mmu_service.pb.h"

namespace simvisor::server {

class MappingSource {
 public:
  // Most runs in one response, as the API states.
  static constexpr size_t kMaxRuns = 4096;

  // NOT_FOUND SECONDARY_MMU_NOT_FOUND.
  static absl::StatusOr<MappingSource> Create(
      Machine& machine, const v1::ListSecondaryMappingsRequest& request);

  // At most kMaxRuns runs.  NOT_FOUND SECONDARY_MMU_NOT_FOUND.
  absl::StatusOr<Progress> Next(v1::ListSecondaryMappingsResponse* response);

 private:
  MappingSource() = default;

  std::shared_ptr<Domain> domain_;
  SubscriptionId id_{};
  Pfn next_{0};
  std::vector<MappingRun> runs_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MMUS_MAPPING_SOURCE_H_
