// Finds the domain that a request refers to.
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

// For code that never waits for the domain's lock.
// Errors: those of FromProto(DomainRef) and of Host::Find().
inline absl::StatusOr<std::shared_ptr<Domain>> LookUpDomain(
    const Host& host, const v1::DomainRef& ref) {
  SIMVISOR_ASSIGN_OR_RETURN(const DomainSelector selector, FromProto(ref));
  return host.Find(selector);
}

// For code that works on the domain: a body that would have to wait for the
// domain here runs in the domain's lane instead (JobScope::Enter()).  Call it
// before the body changes anything.
inline absl::StatusOr<std::shared_ptr<Domain>> FindDomain(
    const Host& host, const v1::DomainRef& ref) {
  SIMVISOR_ASSIGN_OR_RETURN(std::shared_ptr<Domain> domain,
                            LookUpDomain(host, ref));
  SIMVISOR_RETURN_IF_ERROR(JobScope::Enter(domain));
  return domain;
}

// For code that changes words of the domain, which secondary MMUs are told of:
// a body that may have to wait for them runs where it may (BeginChange()).
inline absl::StatusOr<std::shared_ptr<Domain>> FindForChange(
    const Host& host, const v1::DomainRef& ref) {
  SIMVISOR_ASSIGN_OR_RETURN(std::shared_ptr<Domain> domain,
                            LookUpDomain(host, ref));
  SIMVISOR_RETURN_IF_ERROR(JobScope::BeginChange(*domain));
  SIMVISOR_RETURN_IF_ERROR(JobScope::Enter(domain));
  return domain;
}

// Pages of the domain's guest, without those held for other domains; never
// waits for a change.
inline PageCount GuestPages(const Domain& domain) {
  const DomainMemory memory = domain.Memory();
  return memory.current - memory.foreign_held;
}

// For RunQuick(): the number of pages of the domain; nullopt if the host's or
// the domain's lock is taken, or if fault injection is enabled, since a fault
// can delay any call.
inline std::optional<PageCount> PagesIfIdle(const Machine& machine,
                                            const v1::DomainRef& ref) {
  if (machine.faults().enabled()) return std::nullopt;
  const absl::StatusOr<DomainSelector> selector = FromProto(ref);
  if (!selector.ok()) return std::nullopt;
  const std::shared_ptr<Domain> domain = machine.host().TryFind(*selector);
  return domain == nullptr ? std::nullopt : domain->TryPages();
}

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_FIND_DOMAIN_H_
