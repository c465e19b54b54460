// The pfns of a guest that have changed since the log was last cleared.
//
// Xen keeps a bit for each pfn.  This log keeps a set of extents, so its memory
// depends on what was dirtied, not on the size of the guest.  A pfn is dirty if
// its page was written or zeroed, got another frame or lost its frame.
// Source: log-dirty in xen/arch/x86/mm/paging.c.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_GUEST_DIRTY_LOG_H_
#define SIMVISOR_DOMAIN_GUEST_DIRTY_LOG_H_

#include <utility>

#include "domain/collections/extent_set.h"
#include "domain/units/units.h"

namespace simvisor {

class DirtyLog {
 public:
  bool enabled() const { return enabled_; }
  // Begins to note pfns; none is dirty yet.
  void Enable() { enabled_ = true; }
  void Disable() {
    enabled_ = false;
    dirty_.Clear();
  }

  // A no-op unless the log is enabled.
  void Mark(PfnExtent pfns) {
    if (enabled_ && !pfns.empty()) dirty_.Add(pfns);
  }

  // Returns the dirty pfns and clears the log (CLEAN).
  PfnSet Clean() { return std::exchange(dirty_, PfnSet()); }
  // The number of dirty pfns (PEEK).
  PageCount count() const { return dirty_.size(); }
  const PfnSet& pfns() const { return dirty_; }

 private:
  bool enabled_ = false;
  PfnSet dirty_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_DIRTY_LOG_H_
