// Statistics of a series of measurements.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BENCH_RPC_SAMPLES_H_
#define SIMVISOR_BENCH_RPC_SAMPLES_H_

#include <vector>

namespace simvisor::bench {

struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
};

// All 0 without samples.
Spread SpreadOf(std::vector<double> samples);

// The smallest sample that is not less than `share` (0 to 1) of all samples; 0
// without samples.
double Percentile(std::vector<double> samples, double share);

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_SAMPLES_H_
