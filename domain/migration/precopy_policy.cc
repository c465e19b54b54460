#include "domain/migration/precopy_policy.h"

namespace simvisor {

uint64_t EstimateDowntimeMs(const PrecopyStats& stats) {
  if (stats.bytes_per_second == 0) return 0;
  const double bytes =
      static_cast<double>(stats.dirty_now.value()) * kPageSize * 1000;
  return static_cast<uint64_t>(bytes /
                               static_cast<double>(stats.bytes_per_second));
}

PrecopyDecision DecidePrecopy(const PrecopyPolicy& policy,
                              const PrecopyStats& stats) {
  if (stats.dirty.has_value() && *stats.dirty < policy.min_dirty) {
    return PrecopyDecision::kStop;
  }
  const bool last = stats.passes >= policy.max_passes;
  if (policy.max_downtime_ms > 0) {
    if (EstimateDowntimeMs(stats) <= policy.max_downtime_ms) {
      return PrecopyDecision::kStop;
    }
    if (last) return PrecopyDecision::kAbort;
  }
  return last ? PrecopyDecision::kStop : PrecopyDecision::kContinue;
}

}  // namespace simvisor
