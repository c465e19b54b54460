#include "server/guests/address_space_source.h"

#include "base/status_macros.h"
#include "server/calls/find_domain.h"
#include "server/convert/address_space.h"
#include "server/threads/job_scope.h"

namespace simvisor::server {

absl::StatusOr<AddressSpaceSource> AddressSpaceSource::Create(
    const Host& host, const v1::ListAddressSpacesRequest& request) {
  AddressSpaceSource source;
  SIMVISOR_ASSIGN_OR_RETURN(source.domain_,
                            LookUpDomain(host, request.domain()));
  return source;
}

absl::StatusOr<Progress> AddressSpaceSource::Next(
    v1::ListAddressSpacesResponse* response) {
  SIMVISOR_RETURN_IF_ERROR(JobScope::Enter(domain_));
  spaces_.clear();
  // The one after those sent tells whether and where to go on.
  SIMVISOR_ASSIGN_OR_RETURN(
      const AddressSpaceTotals totals,
      domain_->processes().List(next_id_, kMaxSpaces + 1, spaces_));
  const bool more = spaces_.size() > kMaxSpaces;
  if (more) {
    next_id_ = spaces_.back().id;
    spaces_.pop_back();
  }
  for (const AddressSpaceInfo& space : spaces_) {
    ToProto(space, response->add_address_spaces());
  }
  ToProto(totals, response->mutable_totals());
  return more ? Progress::kMore : Progress::kLast;
}

}  // namespace simvisor::server
