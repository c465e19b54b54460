#include "client/session/domain_fate.h"

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/size.h"
#include "base/status_macros.h"
#include "client/api/error.h"
#include "client/session/frames_bar.h"
#include "client/ui/domain_text.h"

namespace simvisor::client {
namespace {

std::string StateText(const v1::Domain& domain) {
  if (domain.suspended()) {
    return "is suspended here; list shows what becomes of it";
  }
  switch (domain.state()) {
    case v1::DOMAIN_STATE_RUNNING:
      return "runs here";
    case v1::DOMAIN_STATE_DYING:
      return "is being destroyed here";
    default:
      return "is paused here";
  }
}

// The domain once it is not suspended, or as it was last seen.
absl::StatusOr<v1::Domain> GetOnceSettled(const Client& client,
                                          const v1::DomainRef& domain,
                                          const Patience& patience) {
  v1::GetDomainRequest request;
  *request.mutable_domain() = domain;
  SIMVISOR_ASSIGN_OR_RETURN(const v1::GetDomainResponse found,
                            LookUntilSettled(
                                patience,
                                [&](absl::Duration timeout) {
                                  return client.Call(request,
                                                     {.timeout = timeout});
                                },
                                [](const v1::GetDomainResponse& seen) {
                                  return !seen.domain().suspended();
                                }));
  return found.domain();
}

// What is said of a domain if asking for it fails with `error`.
std::string WithoutDomain(const v1::DomainRef& domain,
                          absl::string_view if_missing,
                          const absl::Status& error) {
  if (ReasonOf(error) == "DOMAIN_NOT_FOUND") {
    return absl::StrCat(DomainText(domain), " ", if_missing);
  }
  return absl::StrCat("what became of ", DomainText(domain),
                      " is not known: ", Describe(error));
}

}  // namespace

std::string FindDomainFate(const Client& client, const v1::DomainRef& domain,
                           absl::string_view if_missing,
                           const Patience& patience) {
  const auto found = GetOnceSettled(client, domain, patience);
  if (!found.ok()) return WithoutDomain(domain, if_missing, found.status());
  return absl::StrCat(DomainText(*found), " ", StateText(*found));
}

std::string FindMemoryFate(const Client& client, const v1::DomainRef& domain,
                           const Patience& patience) {
  const auto found = GetOnceSettled(client, domain, patience);
  if (!found.ok()) return WithoutDomain(domain, "is gone", found.status());
  return absl::StrCat(
      DomainText(*found), " has ", SizeOfPages(GuestPages(found->memory())),
      " and a target of ", SizeOfPages(found->memory().target_pages()));
}

CallLimits EndSoonAfter(const Interruption& interruption) {
  return {.must_end = [&interruption] {
    return interruption.signal() != 0 && interruption.age() >= kCallGrace;
  }};
}

bool IsCancelledHere(const absl::Status& status) {
  return absl::IsCancelled(status) && ReasonOf(status).empty();
}

void AnnounceAsking(Session& session) {
  session.PrintAside("interrupted; asking the daemon what became of it");
}

void EndInterrupted(Session& session, const absl::Status& status,
                    absl::string_view fate) {
  session.PrintRemark("note", absl::StrCat("interrupted: ", fate));
  session.PrintEnd(IsCancelledHere(status) ? absl::OkStatus() : status);
}

}  // namespace simvisor::client
