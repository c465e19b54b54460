#include "client/session/domain_fate.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/api/error.h"
#include "client/ui/domain_text.h"

namespace simvisor::client {
namespace {

constexpr absl::Duration kLookEvery = absl::Milliseconds(50);

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

}  // namespace

std::string FindDomainFate(const Client& client, const v1::DomainRef& domain,
                           absl::string_view if_missing,
                           absl::Duration patience) {
  const absl::Time end = absl::Now() + patience;
  v1::GetDomainRequest request;
  *request.mutable_domain() = domain;
  while (true) {
    const auto found = client.Call(request, {.timeout = end - absl::Now()});
    if (ReasonOf(found.status()) == "DOMAIN_NOT_FOUND") {
      return absl::StrCat(DomainText(domain), " ", if_missing);
    }
    if (!found.ok()) {
      return absl::StrCat("what became of ", DomainText(domain),
                          " is not known: ", Describe(found.status()));
    }
    if (!found->domain().suspended() || absl::Now() + kLookEvery >= end) {
      return absl::StrCat(DomainText(found->domain()), " ",
                          StateText(found->domain()));
    }
    absl::SleepFor(kLookEvery);
  }
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
