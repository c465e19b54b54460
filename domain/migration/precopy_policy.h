// When a live migration stops copying and suspends the guest.
//
// Separates policy from mechanism: Precopy copies and counts, this file
// decides.
// The default is libxc's: five passes, or fewer than 50 dirty pages.  Source:
// simple_precopy_policy() in xg_sr_save.c.
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

  // Passes over the running guest, at least 1.
  uint32_t max_passes = kDefaultMaxPasses;
  // With fewer dirty pages than this, one last pass is made while the guest
  // runs.
  PageCount min_dirty = kDefaultMinDirty;
  // The most bytes that the sender may send in a second; 0 means no limit.
  uint64_t max_bytes_per_second = 0;
  // The most milliseconds that the guest may be suspended, by estimate; 0 means
  // no limit.  With a limit, passes end as soon as the estimate is within it
  // and not before, even if few pages are dirty.  If the estimate is still too
  // high after the last pass, the migration is abandoned.
  uint64_t max_downtime_ms = 0;
};

struct PrecopyStats {
  uint32_t passes = 0;  // passes that were sent completely
  // Dirty pages that the log reported last; unset before the first time.
  std::optional<PageCount> dirty;
  // Pages dirty now.
  PageCount dirty_now;
  // Pages that the last pass had to send.
  PageCount pass_pages;
  // The average speed so far; 0 if it was not measured.
  uint64_t bytes_per_second = 0;
};

// Whether the last pass left fewer pages dirty than it had to send; true while
// that is unknown.  If not, the guest dirties pages as fast as they are sent,
// and further passes are of no use.
bool Converges(const PrecopyStats& stats);

// kStop: the dirty pages found, if any, are sent while the guest runs, then it
// is suspended.  kAbort: the guest keeps running where it is.
enum class PrecopyDecision { kContinue, kStop, kAbort };

// Milliseconds that sending the dirty pages of `stats` takes; 0 if unknown.
uint64_t EstimateDowntimeMs(const PrecopyStats& stats);

// Whether the guest may be suspended now: no limit is set, or the estimate is
// within it.
bool KeepsDowntime(const PrecopyPolicy& policy, const PrecopyStats& stats);

// Called twice after each pass: before reading the dirty log and after it.
PrecopyDecision DecidePrecopy(const PrecopyPolicy& policy,
                              const PrecopyStats& stats);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_MIGRATION_PRECOPY_POLICY_H_
