#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "bench/rpc/crowd_parts.h"
#include "bench/rpc/empty_calls.h"
#include "bench/rpc/target_steps.h"
#include "simvisor/v1/memory_service.grpc.pb.h"

namespace simvisor::bench {
namespace {

constexpr uint64_t kTargetCalls = 2000;  // per round

// Makes `calls` calls; `made` is the number of calls so far, before and after.
absl::StatusOr<Outcome> SetTargets(const Connections& connections,
                                   const Crowd& crowd, uint64_t calls,
                                   uint64_t& made) {
  using Stub = v1::MemoryService::Stub;
  const uint64_t first = made;
  made += calls;
  return Run(
      connections,
      Load<Stub, v1::SetMemoryTargetRequest, v1::SetMemoryTargetResponse>{
          .name = "SetMemoryTarget",
          .start = &Stub::AsyncSetMemoryTarget,
          .calls = calls,
          .in_flight = 1,
          .fill =
              [&, first](uint64_t i, v1::SetMemoryTargetRequest& request) {
                const uint64_t domain = DomainOf(first + i, crowd.size());
                request.mutable_domain()->set_domid(crowd.domid(domain));
                request.set_target_pages(TargetOf(first + i, crowd.size()));
              },
          .take =
              [&, first](uint64_t i,
                         const v1::SetMemoryTargetResponse& response) {
                return CheckMoved(TargetOf(first + i, crowd.size()),
                                  response.memory());
              }});
}

absl::Status MeasureClients(const Connections& connections, const Crowd& crowd,
                            int rounds, const std::string& name, uint64_t& made,
                            Report& report) {
  std::vector<double> empty_rates;
  std::vector<double> rates;
  std::vector<double> ratios;
  std::vector<double> half;
  std::vector<double> most;
  for (int round = 0; round < rounds; ++round) {
    SIMVISOR_ASSIGN_OR_RETURN(const Outcome empty,
                              RunEmptyCalls(connections, kTargetCalls, 1));
    SIMVISOR_ASSIGN_OR_RETURN(
        const Outcome moved,
        SetTargets(connections, crowd, kTargetCalls, made));
    empty_rates.push_back(empty.rate());
    rates.push_back(moved.rate());
    ratios.push_back(moved.rate() / empty.rate());
    half.push_back(Percentile(moved.micros, 0.5));
    most.push_back(Percentile(moved.micros, 0.99));
  }
  report.Add(absl::StrCat(name, "/empty"), empty_rates, "calls/s");
  report.Add(name, rates, "calls/s", absl::StrCat(name, "/empty"), ratios);
  report.Add(absl::StrCat(name, "/p50"), half, "us");
  report.Add(absl::StrCat(name, "/p99"), most, "us");
  return absl::OkStatus();
}

}  // namespace

absl::Status MeasureTarget(const Site& site, const Crowd& crowd, int rounds,
                           Report& report) {
  SIMVISOR_ASSIGN_OR_RETURN(const Connections one, Connect(site.address, 1));
  SIMVISOR_ASSIGN_OR_RETURN(const Connections four, Connect(site.address, 4));
  // The first pass moves only half of the domains, so it does not count.
  uint64_t made = 0;
  SIMVISOR_RETURN_IF_ERROR(SetTargets(one, crowd, crowd.size(), made).status());
  SIMVISOR_RETURN_IF_ERROR(
      MeasureClients(one, crowd, rounds, "target/1_client", made, report));
  return MeasureClients(four, crowd, rounds, "target/4_clients", made, report);
}

}  // namespace simvisor::bench
