#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "bench/rpc/daemon_process.h"
#include "bench/rpc/scenario.h"
#include "bench/rpc/stop_signals.h"

namespace simvisor::bench {
namespace {

constexpr int kStarts = 15;

absl::Status StartOnce(const Options& options, const std::string& memory,
                       std::vector<double>& millis) {
  SIMVISOR_RETURN_IF_ERROR(StopCheck());
  SIMVISOR_ASSIGN_OR_RETURN(const std::unique_ptr<DaemonProcess> daemon,
                            DaemonProcess::Start(options.simvisord, memory));
  millis.push_back(absl::ToDoubleMilliseconds(daemon->start_time()));
  return absl::OkStatus();
}

}  // namespace

absl::Status MeasureStart(const Options& options, Report& report) {
  std::vector<double> small;
  std::vector<double> large;
  std::vector<double> ratios;
  for (int i = 0; i < kStarts; ++i) {
    SIMVISOR_RETURN_IF_ERROR(StartOnce(options, "16g", small));
    SIMVISOR_RETURN_IF_ERROR(StartOnce(options, "16t", large));
    ratios.push_back(large.back() / small.back());
  }
  report.Add("start/16_gib", small, "ms");
  report.Add("start/16_tib", large, "ms", "start/16_gib", ratios);
  return absl::OkStatus();
}

}  // namespace simvisor::bench
