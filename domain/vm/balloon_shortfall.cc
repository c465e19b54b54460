#include "domain/vm/balloon_shortfall.h"

#include <algorithm>

namespace simvisor {
namespace {

// What limits another try.
struct Limits {
  PageCount pfns;       // in the balloon
  PageCount room;       // below the domain's limits
  PageCount free;       // frames
  PageCount available;  // pages that the guest can give
  bool leaves = true;   // for its p2m list
};

PageCount Below(PageCount limit, PageCount used) {
  return limit > used ? limit - used : PageCount(0);
}

// What a guest of `pages` comes to on its way to `goal`.
PageCount Reachable(PageCount pages, PageCount goal, const Limits& limits) {
  if (goal >= pages) {
    if (!limits.leaves) return pages;
    return pages +
           std::min({goal - pages, limits.pfns, limits.room, limits.free});
  }
  return pages - std::min(pages - goal, limits.available);
}

ShortfallCause CauseOf(DomainState state,
                       const std::optional<BalloonDriverInfo>& driver,
                       bool needs_pages, const Limits& limits) {
  if (state != DomainState::kRunning || !driver.has_value()) {
    return ShortfallCause::kNotRunning;
  }
  if (needs_pages && limits.pfns == PageCount(0)) {
    return ShortfallCause::kBalloonEmpty;
  }
  if (driver->state == BalloonState::kDone ||
      driver->state == BalloonState::kNone) {
    return ShortfallCause::kMoving;
  }
  const PageCount none(0);
  if (!needs_pages) {
    return limits.available == none ? ShortfallCause::kGuestMemory
                                    : ShortfallCause::kRetrying;
  }
  if (!limits.leaves) return ShortfallCause::kGuestMemory;
  if (limits.room == none) return ShortfallCause::kMaxMem;
  if (limits.free == none) return ShortfallCause::kHostFull;
  return ShortfallCause::kRetrying;
}

}  // namespace

std::optional<BalloonShortfall> FindShortfall(
    DomainState state, const DomainMemory& memory,
    const std::optional<BalloonDriverInfo>& driver, PageCount free) {
  const PageCount pages = memory.current - memory.foreign_held;
  if (pages == memory.target || state == DomainState::kDying) {
    return std::nullopt;
  }
  const Limits limits = {
      .pfns = memory.balloon,
      .room = std::min(Below(memory.max, memory.current),
                       Below(memory.static_max, pages)),
      .free = free,
      .available = memory.available,
      .leaves = !(driver.has_value() && driver->lacks_leaf_pages)};
  BalloonShortfall shortfall;
  shortfall.missing = static_cast<int64_t>(memory.target.value()) -
                      static_cast<int64_t>(pages.value());
  shortfall.cause = CauseOf(state, driver, shortfall.missing > 0, limits);
  shortfall.reachable = pages;
  if (!driver.has_value()) return shortfall;
  shortfall.reachable = Reachable(pages, driver->goal, limits);
  shortfall.given_up = driver->state == BalloonState::kCancelled;
  if (state == DomainState::kRunning) {
    shortfall.retry_seconds = driver->retry_after.value_or(0);
  }
  return shortfall;
}

}  // namespace simvisor
