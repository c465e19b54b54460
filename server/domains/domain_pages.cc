#include "server/domains/domain_pages.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "domain/units/units.h"
#include "server/convert/argument.h"
#include "server/convert/domain.h"

namespace simvisor::server {
namespace {

absl::StatusOr<DomainId> FirstOfPage(const std::string& token) {
  if (token.empty()) return kDom0Id;
  uint32_t domid = 0;
  if (!absl::SimpleAtoi(token, &domid) || domid >= kFirstReservedDomainId) {
    return BadPageToken(token);
  }
  return DomainId(static_cast<uint16_t>(domid));
}

}  // namespace

absl::Status FillDomainPage(const Host& host,
                            const v1::ListDomainsRequest& request,
                            v1::ListDomainsResponse* response) {
  SIMVISOR_RETURN_IF_ERROR(
      CheckAtMost("page_size", request.page_size(), kMaxPageSize));
  SIMVISOR_ASSIGN_OR_RETURN(const DomainId first,
                            FirstOfPage(request.page_token()));
  const size_t page_size =
      request.page_size() == 0 ? kMaxPageSize : request.page_size();

  // The one after the page tells where the next page begins.  A domain that
  // arrives between the two calls may be in both lists, and then counts as
  // arrived.
  const std::vector<IncomingInfo> incoming =
      host.ListIncoming(first, page_size + 1);
  const std::vector<std::shared_ptr<Domain>> domains =
      host.List(first, page_size + 1);
  size_t bytes = 0;
  size_t count = 0;
  size_t i = 0, j = 0;
  for (; i < domains.size() || j < incoming.size(); ++count) {
    const bool arrived =
        i < domains.size() &&
        (j == incoming.size() || domains[i]->id() <= incoming[j].id);
    const DomainId id = arrived ? domains[i]->id() : incoming[j].id;
    if (count == page_size || bytes >= kMaxPageBytes) {
      response->set_next_page_token(absl::StrCat(id.value()));
      return absl::OkStatus();
    }
    if (arrived) {
      v1::Domain* const domain = response->add_domains();
      ToProto(*domains[i++], domain);
      bytes += domain->ByteSizeLong();
      if (j < incoming.size() && incoming[j].id == id) ++j;
    } else {
      v1::IncomingDomain* const domain = response->add_incoming();
      ToProto(incoming[j++], domain);
      bytes += domain->ByteSizeLong();
    }
  }
  return absl::OkStatus();
}

}  // namespace simvisor::server
