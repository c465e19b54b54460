// From the reference in a request to the domain.
//
// Thread safety: may be called from any thread.

#ifndef SIMVISOR_SERVER_FIND_DOMAIN_H_
#define SIMVISOR_SERVER_FIND_DOMAIN_H_

#include <memory>

#include "absl/status/statusor.h"
#include "domain/host/host.h"
#include "domain/units/status_macros.h"
#include "server/convert_common.h"
#include "simvisor/v1/common.pb.h"

namespace simvisor::server {

// Errors as those of the reference's FromProto() and of Host::Find().
inline absl::StatusOr<std::shared_ptr<Domain>> FindDomain(
    const Host& host, const v1::DomainRef& ref) {
  SIMVISOR_ASSIGN_OR_RETURN(const DomainSelector selector, FromProto(ref));
  return host.Find(selector);
}

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_FIND_DOMAIN_H_
