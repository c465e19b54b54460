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

// One figure.  Names are SCENARIO/WHAT and stay as they are, since programs
// look for them.
struct Figure {
  std::string name;
  double value = 0;
  std::string unit;
  // Of repeated measurements, of which `value` is the median.
  std::optional<double> min;
  std::optional<double> max;
  // Name of a figure of the same run, and what this one is to that: the median
  // of the ratios that were formed in each round.
  std::string ratio_to;
  std::optional<Spread> ratio;
};

class Report {
 public:
  // Prints the heading.
  Report();

  // A figure that was measured once.
  void Add(const std::string& name, double value, const std::string& unit);
  // One that was measured again and again.
  void Add(const std::string& name, const std::vector<double>& samples,
           const std::string& unit);
  // The same beside a baseline, with a ratio for each round.
  void Add(const std::string& name, const std::vector<double>& samples,
           const std::string& unit, const std::string& ratio_to,
           const std::vector<double>& ratios);

  // Says on the terminal what is no figure.
  void Note(const std::string& text);

  // The version of the daemon, for the context of the figures.
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
