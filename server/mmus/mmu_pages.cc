#include "server/mmus/mmu_pages.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "domain/smmu/mmu_types.h"
#include "domain/smmu/secondary_mmus.h"
#include "server/calls/find_domain.h"
#include "server/convert/argument.h"
#include "server/machine/mmu_waiter.h"
#include "server/mmus/convert_mmu.h"

namespace simvisor::server {
namespace {

// Domain and subscription.
using Position = std::pair<uint32_t, uint64_t>;

absl::StatusOr<Position> FirstOfPage(const std::string& token) {
  if (token.empty()) return Position{0, 0};
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(token, absl::MaxSplits(':', 1));
  Position first;
  if (!absl::SimpleAtoi(parts.first, &first.first) ||
      !absl::SimpleAtoi(parts.second, &first.second)) {
    return BadPageToken(token);
  }
  return first;
}

absl::StatusOr<std::vector<std::shared_ptr<Domain>>> WantedDomains(
    Machine& machine, const v1::ListSecondaryMmusRequest& request) {
  if (!request.has_domain()) return machine.mmus().Domains();
  SIMVISOR_ASSIGN_OR_RETURN(std::shared_ptr<Domain> domain,
                            LookUpDomain(machine.host(), request.domain()));
  return std::vector<std::shared_ptr<Domain>>{std::move(domain)};
}

std::vector<MmuInfo> ListOf(Domain& domain, absl::Time now) {
  const std::shared_ptr<SecondaryMmus> mmus = domain.mmus().Find();
  return mmus == nullptr ? std::vector<MmuInfo>() : mmus->List(now);
}

}  // namespace

absl::Status FillMmuPage(Machine& machine,
                         const v1::ListSecondaryMmusRequest& request,
                         v1::ListSecondaryMmusResponse* response) {
  SIMVISOR_RETURN_IF_ERROR(
      CheckAtMost("page_size", request.page_size(), kMaxMmuPageSize));
  SIMVISOR_ASSIGN_OR_RETURN(const Position first,
                            FirstOfPage(request.page_token()));
  SIMVISOR_ASSIGN_OR_RETURN(const std::vector<std::shared_ptr<Domain>> domains,
                            WantedDomains(machine, request));
  const int page_size = static_cast<int>(
      request.page_size() == 0 ? kMmuPageSize : request.page_size());
  const absl::Time now = ToLeaseTime(machine.clock()->Now());
  size_t bytes = 0;
  for (const std::shared_ptr<Domain>& domain : domains) {
    if (domain->id().value() < first.first) continue;
    for (const MmuInfo& info : ListOf(*domain, now)) {
      const Position here{domain->id().value(), static_cast<uint64_t>(info.id)};
      if (here < first || info.state == SubscriptionState::kGone) continue;
      if (response->mmus_size() == page_size || bytes >= kMaxMmuPageBytes) {
        response->set_next_page_token(
            absl::StrCat(here.first, ":", here.second));
        return absl::OkStatus();
      }
      v1::SecondaryMmu* const mmu = response->add_mmus();
      ToProto(domain->id(), info, mmu);
      bytes += mmu->ByteSizeLong();
    }
  }
  return absl::OkStatus();
}

}  // namespace simvisor::server
