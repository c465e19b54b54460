#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "bench/rpc/crowd_parts.h"
#include "simvisor/v1/domain_service.grpc.pb.h"

namespace simvisor::bench {
namespace {

constexpr uint64_t kPage = 1000;
constexpr int kTimes = 30;

// Lists `count` domains page by page; returns milliseconds.
absl::StatusOr<double> List(const Connections& connections, uint64_t count) {
  using Stub = v1::DomainService::Stub;
  std::string token;
  uint64_t listed = 0;
  Load<Stub, v1::ListDomainsRequest, v1::ListDomainsResponse> load = {
      .name = "ListDomains",
      .start = &Stub::AsyncListDomains,
      .calls = (count + kPage - 1) / kPage,
      .in_flight = 1,
      .fill =
          [&token](uint64_t /*i*/, v1::ListDomainsRequest& request) {
            request.set_page_size(kPage);
            request.set_page_token(token);
          },
      .take =
          [&](uint64_t /*i*/, const v1::ListDomainsResponse& response) {
            token = response.next_page_token();
            listed += static_cast<uint64_t>(response.domains_size());
            return absl::OkStatus();
          }};
  SIMVISOR_ASSIGN_OR_RETURN(const Outcome outcome, Run(connections, load));
  if (listed < count) {
    return absl::InternalError(
        absl::StrCat("ListDomains: ", listed, " domains instead of ", count));
  }
  return outcome.seconds * 1000;
}

}  // namespace

absl::Status MeasureList(const Site& site, const Crowd& crowd, Report& report) {
  SIMVISOR_ASSIGN_OR_RETURN(const Connections connections,
                            Connect(site.address, 1));
  const uint64_t page = std::min(kPage, crowd.size());
  std::vector<double> first;
  std::vector<double> all;
  for (int i = 0; i < kTimes; ++i) {
    SIMVISOR_ASSIGN_OR_RETURN(const double one, List(connections, page));
    SIMVISOR_ASSIGN_OR_RETURN(const double every,
                              List(connections, crowd.size()));
    first.push_back(one);
    all.push_back(every);
  }
  report.Add("list/page", first, "ms");
  report.Add("list/all", all, "ms");
  return absl::OkStatus();
}

}  // namespace simvisor::bench
