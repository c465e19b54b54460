#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "bench/rpc/empty_calls.h"
#include "bench/rpc/scenario.h"

namespace simvisor::bench {
namespace {

constexpr uint64_t kCalls = 2000;

struct Way {
  const char* name;
  int clients;
  int in_flight;
};

absl::Status MeasureWay(const Site& site, const Way& way, int rounds,
                        Report& report) {
  SIMVISOR_ASSIGN_OR_RETURN(const Connections connections,
                            Connect(site.address, way.clients));
  std::vector<double> rates;
  std::vector<double> half;
  std::vector<double> most;
  for (int round = 0; round < rounds; ++round) {
    SIMVISOR_ASSIGN_OR_RETURN(
        const Outcome outcome,
        RunEmptyCalls(connections, kCalls, way.in_flight));
    rates.push_back(outcome.rate());
    half.push_back(Percentile(outcome.micros, 0.5));
    most.push_back(Percentile(outcome.micros, 0.99));
  }
  const std::string name = absl::StrCat("empty/", way.name);
  report.Add(name, rates, "calls/s");
  report.Add(absl::StrCat(name, "/p50"), half, "us");
  report.Add(absl::StrCat(name, "/p99"), most, "us");
  return absl::OkStatus();
}

}  // namespace

absl::Status MeasureEmpty(const Site& site, const Options& options,
                          Report& report) {
  for (const Way& way : {Way{"1_client", 1, 1}, Way{"4_clients", 4, 1},
                         Way{"8_in_flight", 1, 8}}) {
    SIMVISOR_RETURN_IF_ERROR(MeasureWay(site, way, options.rounds, report));
  }
  return absl::OkStatus();
}

}  // namespace simvisor::bench
