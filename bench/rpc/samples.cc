#include "bench/rpc/samples.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace simvisor::bench {

double Percentile(std::vector<double> samples, double share) {
  if (samples.empty()) return 0;
  const double count = static_cast<double>(samples.size());
  const auto rank =
      static_cast<size_t>(std::max(1.0, std::ceil(share * count)));
  const auto at = samples.begin() + static_cast<ptrdiff_t>(rank - 1);
  std::nth_element(samples.begin(), at, samples.end());
  return *at;
}

Spread SpreadOf(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  const size_t middle = samples.size() / 2;
  const double upper = samples[middle];
  const double lower =
      samples.size() % 2 == 0 ? samples[middle - 1] : samples[middle];
  return {.median = (lower + upper) / 2,
          .min = samples.front(),
          .max = samples.back()};
}

}  // namespace simvisor::bench
