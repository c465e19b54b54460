#include "server/mmus/mapping_source.h"

#include "base/status_macros.h"
#include "domain/smmu/secondary_mmus.h"
#include "server/mmus/convert_mmu.h"

namespace simvisor::server {

absl::StatusOr<MappingSource> MappingSource::Create(
    Machine& machine, const v1::ListSecondaryMappingsRequest& request) {
  MappingSource source;
  source.id_ = SubscriptionId{request.subscription()};
  SIMVISOR_ASSIGN_OR_RETURN(
      source.domain_,
      machine.mmus().Find("list secondary mappings", source.id_));
  return source;
}

absl::StatusOr<Progress> MappingSource::Next(
    v1::ListSecondaryMappingsResponse* response) {
  runs_.clear();
  SIMVISOR_ASSIGN_OR_RETURN(
      next_, domain_->mmus().Find()->ListMappings(id_, next_, kMaxRuns, runs_));
  for (const MappingRun& run : runs_) ToProto(run, response->add_runs());
  return next_ == Pfn::None() ? Progress::kLast : Progress::kMore;
}

}  // namespace simvisor::server
