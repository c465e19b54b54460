// The figures of a run: printed as they come, and written as JSON at the end.
//
// Thread safety: one thread at a time.

#ifndef SIMVISOR_BENCH_RPC_REPORT_H_
#define SIMVISOR_BENCH_RPC_REPORT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "bench/rpc/samples.h"

namespace simvisor::bench {

// One figure.  Names are SCENARIO/WHAT and never change, because programs look
// for them.
struct Figure {
  std::string name;
  double value = 0;
  std::string unit;
  // The range of repeated measurements; `value` is their median.
  std::optional<double> min;
  std::optional<double> max;
  // The name of another figure of the same run, and this figure's ratio to it:
  // the median of one ratio per round.
  std::string ratio_to;
  std::optional<Spread> ratio;
};

class Report {
 public:
  // Prints the heading.
  Report();

  // Adds a figure that was measured once.
  void Add(const std::string& name, double value, const std::string& unit);
  // Adds a figure that was measured repeatedly.
  void Add(const std::string& name, const std::vector<double>& samples,
           const std::string& unit);
  // The same with a baseline and a ratio for each round.
  void Add(const std::string& name, const std::vector<double>& samples,
           const std::string& unit, const std::string& ratio_to,
           const std::vector<double>& ratios);

  // Prints a remark that is not a figure.
  void Note(const std::string& text);

  // Sets the version of the daemon, as context for the figures.
  void SetDaemonVersion(const std::string& version) { version_ = version; }

  // Writes all figures to `path`.  UNAVAILABLE if that fails.
  absl::Status WriteJson(const std::string& path) const;

 private:
  void Add(Figure figure);

  std::vector<Figure> figures_;
  std::string version_;
  double load_average_;  // when the run began
};

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_REPORT_H_
