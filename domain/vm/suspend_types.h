// How a guest is saved, restored and migrated, as callers ask for it.
//
// Thread safety: plain values.

#ifndef SIMVISOR_DOMAIN_VM_SUSPEND_TYPES_H_
#define SIMVISOR_DOMAIN_VM_SUSPEND_TYPES_H_

#include <cstdint>

#include "domain/collections/extent_set.h"
#include "domain/frames/frame_pool.h"
#include "domain/frames/staged_contents.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor {

// Pages received for an incoming domain, without frames yet.  All frames are
// given at once, so that they lie together and their words take little memory.
struct ReceivedPages {
  // For pages of `owner`.
  ReceivedPages(const FramePool& pool, DomainId owner)
      : contents(pool.store(), owner) {}

  PfnSet pages;
  StagedContents contents;
  FrameClaim claim;  // for all of `pages`
};

// Where a restored domain has target, static-max and max_pages from: the notes
// of its suspension, or the spec that it is restored with.
enum class LimitsFrom { kNotes, kSpec };

// What a guest is suspended for; a migration suspends it at its end.
enum class SuspendFor { kSave, kMigration };

// How a restored guest arrives: paused, or suspended as it left, with
// Handover::kIncoming, until DomainMigration::Resume().
enum class Arrival { kPaused, kSuspended };

// A guest that runs while it is copied.
struct LiveGuest {
  Arch arch = Arch::kX86_64;
  Pfn last_pfn;             // as in SuspendRecord
  uint64_t generation = 0;  // of its p2m list
  PageCount pages;          // that it has
};

// What was in the dirty log.
struct DirtyPages {
  PfnSet pfns;
  uint64_t generation = 0;  // of the p2m list, at that moment
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_SUSPEND_TYPES_H_
