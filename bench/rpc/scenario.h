// The scenarios: what is measured, by name.
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
  // The daemon to start, and the memory of its machine.
  std::string simvisord;
  std::string host_memory = "16t";
  // Domains in the crowd.
  uint64_t domains = 10000;
  // How often everything is measured next to its baseline: often and briefly,
  // because other load on the machine changes within a second.
  int rounds = 31;
};

// The daemon that a scenario calls.
struct Site {
  std::string address;
  // Set if the bench has started the daemon.
  std::optional<pid_t> pid;
};

// Each function measures one thing and adds it to the report.

// Calls that do nothing.
absl::Status MeasureEmpty(const Site& site, const Options& options,
                          Report& report);
// From process start to the ready line, with its own daemons.
absl::Status MeasureStart(const Options& options, Report& report);
// Many running domains are created and destroyed, twice; `within` says what is
// measured while they exist.
struct CrowdParts {
  bool list = false;
  bool target = false;
};
absl::Status MeasureCrowd(const Site& site, const Options& options,
                          CrowdParts within, Report& report);
// One large domain is created and destroyed.
absl::Status MeasureLifecycle(const Site& site, const Options& options,
                              Report& report);
// Memory operations, many in one message.
absl::Status MeasureOps(const Site& site, const Options& options,
                        Report& report);
// Lookups in a p2m list.
absl::Status MeasureLookup(const Site& site, const Options& options,
                           Report& report);

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_SCENARIO_H_
