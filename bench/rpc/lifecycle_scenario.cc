#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "bench/rpc/empty_calls.h"
#include "bench/rpc/scenario.h"
#include "simvisor/v1/domain_service.grpc.pb.h"

namespace simvisor::bench {
namespace {

using Domains = v1::DomainService::Stub;

constexpr uint64_t kTibPages = uint64_t{1} << 28;
// Pairs per round; the figure is their median.
constexpr int kPairs = 10;
constexpr uint64_t kEmptyCalls = 100;

absl::StatusOr<double> Create(const Connections& connections, uint32_t& domid) {
  const auto fill = [](uint64_t /*i*/, v1::CreateDomainRequest& request) {
    v1::DomainSpec& spec = *request.mutable_spec();
    spec.set_name(absl::StrCat("bench-", getpid()));
    spec.set_memory_pages(kTibPages);
    // The tree of frames ends at 512 GiB.
    spec.set_tools_view(v1::TOOLS_VIEW_LINEAR);
  };
  const auto take = [&domid](uint64_t /*i*/,
                             const v1::CreateDomainResponse& response) {
    domid = response.domain().domid();
    return absl::OkStatus();
  };
  SIMVISOR_ASSIGN_OR_RETURN(
      const Outcome outcome,
      Run(connections,
          Load<Domains, v1::CreateDomainRequest, v1::CreateDomainResponse>{
              .name = "CreateDomain",
              .start = &Domains::AsyncCreateDomain,
              .calls = 1,
              .in_flight = 1,
              .fill = fill,
              .take = take}));
  return outcome.micros[0];
}

absl::StatusOr<double> Destroy(const Connections& connections, uint32_t domid) {
  const auto fill = [domid](uint64_t /*i*/, v1::DestroyDomainRequest& request) {
    request.mutable_domain()->set_domid(domid);
  };
  SIMVISOR_ASSIGN_OR_RETURN(
      const Outcome outcome,
      Run(connections,
          Load<Domains, v1::DestroyDomainRequest, v1::DestroyDomainResponse>{
              .name = "DestroyDomain",
              .start = &Domains::AsyncDestroyDomain,
              .calls = 1,
              .in_flight = 1,
              .fill = fill,
              .take = nullptr}));
  return outcome.micros[0];
}

// The medians of one round, in microseconds.
struct Round {
  double empty = 0;
  double create = 0;
  double destroy = 0;
  double both = 0;
};

absl::StatusOr<Round> MeasureRound(const Connections& connections) {
  SIMVISOR_ASSIGN_OR_RETURN(const Outcome empty,
                            RunEmptyCalls(connections, kEmptyCalls, 1));
  std::vector<double> creates;
  std::vector<double> destroys;
  std::vector<double> pairs;
  for (int i = 0; i < kPairs; ++i) {
    uint32_t domid = 0;
    SIMVISOR_ASSIGN_OR_RETURN(const double create, Create(connections, domid));
    SIMVISOR_ASSIGN_OR_RETURN(const double destroy,
                              Destroy(connections, domid));
    creates.push_back(create);
    destroys.push_back(destroy);
    pairs.push_back(create + destroy);
  }
  return Round{.empty = Percentile(empty.micros, 0.5),
               .create = Percentile(creates, 0.5),
               .destroy = Percentile(destroys, 0.5),
               .both = Percentile(pairs, 0.5)};
}

}  // namespace

absl::Status MeasureLifecycle(const Site& site, const Options& options,
                              Report& report) {
  SIMVISOR_ASSIGN_OR_RETURN(const Connections connections,
                            Connect(site.address, 1));
  std::vector<double> empty;
  std::vector<double> create;
  std::vector<double> destroy;
  std::vector<double> both;
  std::vector<double> ratios;
  for (int i = 0; i < options.rounds; ++i) {
    SIMVISOR_ASSIGN_OR_RETURN(const Round round, MeasureRound(connections));
    // Compare two calls with two that do nothing.
    empty.push_back(2 * round.empty / 1000);
    create.push_back(round.create / 1000);
    destroy.push_back(round.destroy / 1000);
    both.push_back(round.both / 1000);
    ratios.push_back(round.both / (2 * round.empty));
  }
  report.Add("lifecycle/two_empty", empty, "ms");
  report.Add("lifecycle/create_1_tib", create, "ms");
  report.Add("lifecycle/destroy_1_tib", destroy, "ms");
  report.Add("lifecycle/1_tib", both, "ms", "lifecycle/two_empty", ratios);
  return absl::OkStatus();
}

}  // namespace simvisor::bench
