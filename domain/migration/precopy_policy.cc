#include "domain/migration/precopy_policy.h"

namespace simvisor {

bool Converges(const PrecopyStats& stats) {
  return !stats.dirty.has_value() || *stats.dirty < stats.pass_pages;
}

uint64_t EstimateDowntimeMs(const PrecopyStats& stats) {
  if (stats.bytes_per_second == 0) return 0;
  const double bytes =
      static_cast<double>(stats.dirty_now.value()) * kPageSize * 1000;
  return static_cast<uint64_t>(bytes /
                               static_cast<double>(stats.bytes_per_second));
}

bool KeepsDowntime(const PrecopyPolicy& policy, const PrecopyStats& stats) {
  if (policy.max_downtime_ms == 0) return true;
  return stats.bytes_per_second > 0 &&
         EstimateDowntimeMs(stats) <= policy.max_downtime_ms;
}

PrecopyDecision DecidePrecopy(const PrecopyPolicy& policy,
                              const PrecopyStats& stats) {
  if (KeepsDowntime(policy, stats)) {
    const bool few = stats.dirty.has_value() && *stats.dirty < policy.min_dirty;
    const bool enough =
        policy.max_downtime_ms > 0 || stats.passes >= policy.max_passes;
    return few || enough ? PrecopyDecision::kStop : PrecopyDecision::kContinue;
  }
  return stats.passes < policy.max_passes ? PrecopyDecision::kContinue
                                          : PrecopyDecision::kAbort;
}

}  // namespace simvisor
