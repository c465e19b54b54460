// What a PV kernel makes of its memory map at boot, as a plan.
//
// Frames under the map's holes move to RAM above the domain's initial size, in
// order; RAM beyond that is room to balloon; everything that is not RAM becomes
// identity.  A plan is pure arithmetic on the map: nothing is moved here.
// Source: xen_memory_setup() and its helpers in arch/x86/xen/setup.c
// (p2m.md B3).
//
// Thread safety: plain values, pure functions.

#ifndef SIMVISOR_DOMAIN_GUEST_MEMORY_SETUP_H_
#define SIMVISOR_DOMAIN_GUEST_MEMORY_SETUP_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "domain/collections/extent_set.h"
#include "domain/e820/e820.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor {

struct MemorySetup {
  // The frames of `source` move to the pfns target, target + 1, ...
  struct Move {
    PfnExtent source;
    Pfn target;
  };

  // Ascending by source; disjoint from `released`.
  std::vector<Move> moves;
  // pfns under holes for whose frames the map has no RAM left.
  std::vector<PfnExtent> released;
  // Ranges to mark identity, ascending; the last ends at Pfn::None().
  std::vector<PfnExtent> identity;
  // Room to balloon as it is first set out, ascending; move targets lie in it.
  // A RAM entry above the domain's initial size that holds no whole page is an
  // empty one at its last page: it moves last_pfn, too.
  std::vector<PfnExtent> extra;
  // The room that is left once the targets are taken.
  PfnSet extra_left;

  PageCount moved_pages;
  PageCount released_pages;
  // Frames that hold notes of moves, remap_chunk() mfns each.
  PageCount note_pages;
  // One past the last pfn managed, before the area is rounded up: the hint that
  // tools see.  It is the end of the last range of `extra`, even if the
  // builder's list, rounded up to whole leaves, ends above that; without room
  // it is the end of that list.
  Pfn last_pfn;
  // Where the p2m area of this guest ends.
  Pfn area_end;
};

// The ceiling of a domain whose kernel hears of none.
inline constexpr PageCount kNoCeiling{~uint64_t{0}};

struct MemorySetupInput {
  const Abi* abi;
  // The map as the kernel takes it; for the initial domain see Dom0Map().
  const E820Map* e820;
  PageCount nr_pages;  // pages the domain starts with
  // What the hypervisor allows the domain to grow to.  Only the initial domain
  // asks for it; for others the kernel's own page limit stands in, as it does
  // for kNoCeiling.
  PageCount ceiling;
  bool initial;
  // The area reaches at least up to here (the hotplug limit).
  Pfn area_limit;
};

// FAILED_PRECONDITION E820_REMAP_OVERFLOW: frames would move to pfns where a
// real kernel stops, because the room behind them is smaller or ends outside
// the p2m area (a ceiling below nr_pages).  INVALID_ARGUMENT E820_MALFORMED:
// the map ends below nr_pages (RAM in its last page counts only if it fills the
// page); MEMORY_SIZE_INVALID: the area would end beyond what a kernel of this
// ABI can manage.
absl::StatusOr<MemorySetup> PlanMemorySetup(const MemorySetupInput& input);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_MEMORY_SETUP_H_
