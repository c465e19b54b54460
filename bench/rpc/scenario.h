// What is measured, by name.
//
// Thread safety: one thread at a time.

#ifndef SIMVISOR_BENCH_RPC_SCENARIO_H_
#define SIMVISOR_BENCH_RPC_SCENARIO_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "bench/rpc/report.h"

namespace simvisor::bench {

struct Options {
  // The daemon to start, and the machine that it gets.
  std::string simvisord;
  std::string host_memory = "16t";
  // Domains of the crowd.
  uint64_t domains = 10000;
  // How often everything is measured beside its baseline: often and shortly,
  // since what else the machine does changes within a second.
  int rounds = 31;
};

// The daemon that a scenario calls.
struct Site {
  std::string address;
  // If the bench has started it.
  std::optional<pid_t> pid;
};

// Each measures one thing and adds it to the report.

// Calls that do nothing.
absl::Status MeasureEmpty(const Site& site, const Options& options,
                          Report& report);
// From nothing to the ready line, with daemons of its own.
absl::Status MeasureStart(const Options& options, Report& report);
// Many running domains come and go, twice; in between, what `within` measures
// while they are there.
struct CrowdParts {
  bool list = false;
  bool target = false;
};
absl::Status MeasureCrowd(const Site& site, const Options& options,
                          CrowdParts within, Report& report);
// One large domain comes and goes.
absl::Status MeasureLifecycle(const Site& site, const Options& options,
                              Report& report);
// Operations on memory, many in one message.
absl::Status MeasureOps(const Site& site, const Options& options,
                        Report& report);
// Lookups in a p2m list.
absl::Status MeasureLookup(const Site& site, const Options& options,
                           Report& report);

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_SCENARIO_H_
