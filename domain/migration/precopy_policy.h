// When a live migration stops copying and suspends the guest.
//
// Policy apart from mechanism: Precopy copies and counts, this decides.  The
// default is libxc's: five passes, or fewer than 50 dirty pages.
// Source: simple_precopy_policy() in xg_sr_save.c.
//
// Thread safety: pure functions on values.

#ifndef SIMVISOR_DOMAIN_MIGRATION_PRECOPY_POLICY_H_
#define SIMVISOR_DOMAIN_MIGRATION_PRECOPY_POLICY_H_

#include <cstdint>
#include <optional>

#include "domain/units/units.h"

namespace simvisor {

struct PrecopyPolicy {
  // SPP_MAX_ITERATIONS and SPP_TARGET_DIRTY_COUNT.
  static constexpr uint32_t kDefaultMaxPasses = 5;
  static constexpr PageCount kDefaultMinDirty{50};

  // Passes over a guest that runs, at least 1.
  uint32_t max_passes = kDefaultMaxPasses;
  // With fewer dirty pages than this there is one last pass while it runs.
  PageCount min_dirty = kDefaultMinDirty;
  // Bytes that whoever sends may send in a second; 0: any number.
  uint64_t max_bytes_per_second = 0;
  // Milliseconds that the guest may stand still, as estimated; 0: any number.
  // Passes end early once the estimate is that low, and do not end before, even
  // if few pages are dirty; the migration is given up if it is not after the
  // last one.
  uint64_t max_downtime_ms = 0;
};

struct PrecopyStats {
  uint32_t passes = 0;  // that were sent whole
  // Pages that the last look into the dirty log found; unset before it.
  std::optional<PageCount> dirty;
  // Pages that are dirty now.
  PageCount dirty_now;
  // What was sent in a second so far; 0 if nobody measured.
  uint64_t bytes_per_second = 0;
};

// kStop: the dirty pages that were found, if any, are sent while the guest
// runs, then it is suspended.  kAbort: it goes on running where it is.
enum class PrecopyDecision { kContinue, kStop, kAbort };

// Milliseconds it takes to send the dirty pages of `stats`; 0 if unknown.
uint64_t EstimateDowntimeMs(const PrecopyStats& stats);

// Whether the guest may be suspended now: no limit, or an estimate within it.
bool KeepsDowntime(const PrecopyPolicy& policy, const PrecopyStats& stats);

// Asked twice after each pass: before a look into the dirty log and after it.
PrecopyDecision DecidePrecopy(const PrecopyPolicy& policy,
                              const PrecopyStats& stats);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_MIGRATION_PRECOPY_POLICY_H_
