// Which pfns of a guest have changed since somebody last asked.
//
// Xen keeps a bit for each pfn; here a set of extents does, so that memory
// follows what was dirtied and not the size of the guest.  A pfn counts as
// dirty when its page was written or zeroed, got another frame or lost it.
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
  // Starts with nothing dirty.
  void Enable() { enabled_ = true; }
  void Disable() {
    enabled_ = false;
    dirty_.Clear();
  }

  // Nothing unless enabled.
  void Mark(PfnExtent pfns) {
    if (enabled_ && !pfns.empty()) dirty_.Add(pfns);
  }

  // What is dirty; nothing is afterwards (CLEAN).
  PfnSet Clean() { return std::exchange(dirty_, PfnSet()); }
  // How much that would be (PEEK).
  PageCount count() const { return dirty_.size(); }

 private:
  bool enabled_ = false;
  PfnSet dirty_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_DIRTY_LOG_H_
