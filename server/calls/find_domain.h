// From the reference in a request to the domain.
//
// Thread safety: may be called from any thread.

#ifndef SIMVISOR_SERVER_CALLS_FIND_DOMAIN_H_
#define SIMVISOR_SERVER_CALLS_FIND_DOMAIN_H_

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "domain/host/host.h"
#include "domain/units/units.h"
#include "server/convert/common.h"
#include "server/machine/machine.h"
#include "server/threads/job_scope.h"
#include "simvisor/v1/common.pb.h"

namespace simvisor::server {

// The domain, for what never waits for its lock.
// Errors as those of the reference's FromProto() and of Host::Find().
inline absl::StatusOr<std::shared_ptr<Domain>> LookUpDomain(
    const Host& host, const v1::DomainRef& ref) {
  SIMVISOR_ASSIGN_OR_RETURN(const DomainSelector selector, FromProto(ref));
  return host.Find(selector);
}

// The domain, to work on it: a body that would have to wait for it here runs in
// the domain's lane instead (JobScope::Enter()).  To be called before the body
// changes anything.
inline absl::StatusOr<std::shared_ptr<Domain>> FindDomain(
    const Host& host, const v1::DomainRef& ref) {
  SIMVISOR_ASSIGN_OR_RETURN(std::shared_ptr<Domain> domain,
                            LookUpDomain(host, ref));
  SIMVISOR_RETURN_IF_ERROR(JobScope::Enter(domain));
  return domain;
}

// For RunQuick(): how many pages the domain has; nullopt if the host's or the
// domain's lock is taken, or if faults may be injected, since a fault can delay
// any call.
inline std::optional<PageCount> PagesIfIdle(const Machine& machine,
                                            const v1::DomainRef& ref) {
  if (machine.faults().enabled()) return std::nullopt;
  const absl::StatusOr<DomainSelector> selector = FromProto(ref);
  if (!selector.ok()) return std::nullopt;
  const std::shared_ptr<Domain> domain = machine.host().FindAtOnce(*selector);
  return domain == nullptr ? std::nullopt : domain->PagesAtOnce();
}

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_FIND_DOMAIN_H_
