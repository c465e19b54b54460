// simvisor-bench: measures a daemon through its RPCs; see bench/README.md.

#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "bench/rpc/daemon_process.h"
#include "bench/rpc/report.h"
#include "bench/rpc/scenario.h"
#include "bench/rpc/stop_signals.h"

namespace simvisor::bench {
namespace {

struct Arguments {
  std::vector<std::string> scenarios = {"empty",     "start",  "create",
                                        "list",      "target", "ops",
                                        "lifecycle", "lookup"};
  Options options;
  std::string address;
  std::string json;

  bool has(const std::string& scenario) const {
    return std::find(scenarios.begin(), scenarios.end(), scenario) !=
           scenarios.end();
  }
};

// $SIMVISORD, else the daemon next to this program.
std::string DefaultDaemon() {
  const char* const named = std::getenv("SIMVISORD");
  if (named != nullptr && *named != '\0') return named;
  std::error_code ignored;
  const std::filesystem::path self =
      std::filesystem::read_symlink("/proc/self/exe", ignored);
  return (self.parent_path() / "simvisord").string();
}

void AddFlags(CLI::App& app, Arguments& arguments) {
  Options& options = arguments.options;
  app.add_option("scenario", arguments.scenarios,
                 "what to measure, everything unless given; list and target "
                 "bring create with them")
      ->check(CLI::IsMember(arguments.scenarios));
  CLI::Option* const address =
      app.add_option("--address", arguments.address,
                     "daemon to measure, instead of new ones; resident memory "
                     "and start are left out, and domains stay if a call fails")
          ->type_name("ADDR");
  app.add_option("--simvisord", options.simvisord,
                 "daemon to start [$SIMVISORD, or the one beside this program]")
      ->type_name("PATH")
      ->excludes(address);
  app.add_option("--host-memory", options.host_memory,
                 "RAM of the machine of the daemons that are started")
      ->type_name("SIZE")
      ->capture_default_str();
  app.add_option("--domains", options.domains, "domains of the crowd")
      ->check(CLI::Range(1, 32000))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds,
                 "how often a figure is measured beside its baseline")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--json", arguments.json, "write the figures here as well")
      ->type_name("FILE");
}

// Calls `measure` with the given daemon, or with a new one.
template <typename Measure>
absl::Status AtSite(const Arguments& arguments, Report& report,
                    Measure measure) {
  SIMVISOR_RETURN_IF_ERROR(StopCheck());
  if (!arguments.address.empty()) {
    return measure(Site{.address = arguments.address, .pid = std::nullopt});
  }
  SIMVISOR_ASSIGN_OR_RETURN(
      const std::unique_ptr<DaemonProcess> daemon,
      DaemonProcess::Start(arguments.options.simvisord,
                           arguments.options.host_memory));
  report.SetDaemonVersion(daemon->version());
  return measure(Site{.address = daemon->address(), .pid = daemon->pid()});
}

absl::Status MeasureAll(const Arguments& arguments, Report& report) {
  const Options& options = arguments.options;
  const auto at_site = [&](auto measure) {
    return AtSite(arguments, report, measure);
  };
  if (arguments.has("start") && arguments.address.empty()) {
    SIMVISOR_RETURN_IF_ERROR(MeasureStart(options, report));
  }
  if (arguments.has("empty")) {
    SIMVISOR_RETURN_IF_ERROR(at_site(
        [&](const Site& site) { return MeasureEmpty(site, options, report); }));
  }
  const CrowdParts within = {.list = arguments.has("list"),
                             .target = arguments.has("target")};
  if (arguments.has("create") || within.list || within.target) {
    SIMVISOR_RETURN_IF_ERROR(at_site([&](const Site& site) {
      return MeasureCrowd(site, options, within, report);
    }));
  }
  if (arguments.has("ops")) {
    SIMVISOR_RETURN_IF_ERROR(at_site(
        [&](const Site& site) { return MeasureOps(site, options, report); }));
  }
  if (arguments.has("lifecycle")) {
    SIMVISOR_RETURN_IF_ERROR(at_site([&](const Site& site) {
      return MeasureLifecycle(site, options, report);
    }));
  }
  if (!arguments.has("lookup")) return absl::OkStatus();
  return at_site(
      [&](const Site& site) { return MeasureLookup(site, options, report); });
}

absl::Status MeasureAndWrite(const Arguments& arguments) {
  Report report;
  SIMVISOR_RETURN_IF_ERROR(MeasureAll(arguments, report));
  if (arguments.json.empty()) return absl::OkStatus();
  return report.WriteJson(arguments.json);
}

// Keeps the heap as simvisord does, so that the client does not distort
// results.
void KeepHeap() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
  mallopt(M_TOP_PAD, 16 << 20);
}

int Main(int argc, char** argv) {
  KeepHeap();
  // gRPC's log lines repeat what the program reports anyway.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  Arguments arguments;
  arguments.options.simvisord = DefaultDaemon();
  CLI::App app("Measures simvisord through its RPCs.", "simvisor-bench");
  AddFlags(app, arguments);
  CLI11_PARSE(app, argc, argv);
  CatchStopSignals();
  const absl::Status status = MeasureAndWrite(arguments);
  if (status.ok()) return 0;
  std::fprintf(stderr, "simvisor-bench: %s\n",
               std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace simvisor::bench

int main(int argc, char** argv) { return simvisor::bench::Main(argc, argv); }
