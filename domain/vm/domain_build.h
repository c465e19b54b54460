// How a domain gets its pages and its kernel: from a spec, or from an image.
//
// Thread safety: one thread builds a domain, which no other call finds; an
// audit may look at it meanwhile.

#ifndef SIMVISOR_DOMAIN_VM_DOMAIN_BUILD_H_
#define SIMVISOR_DOMAIN_VM_DOMAIN_BUILD_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "domain/collections/extent_set.h"
#include "domain/guest/built_image.h"
#include "domain/guest/suspend_record.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"
#include "domain/vm/kernel_notes.h"
#include "domain/vm/suspend_types.h"

namespace simvisor {

class Domain;

class DomainBuild {
 public:
  explicit DomainBuild(Domain& domain) : domain_(domain) {}

  // Gives the domain its frames and the builder's list; BUILT afterwards.
  // RESOURCE_EXHAUSTED HOST_MEMORY_EXHAUSTED, GUEST_MEMORY_EXHAUSTED; after a
  // failure it owns nothing, is DYING and must be dropped.
  absl::Status Populate(const Operation& operation, BuildPlan plan) const;

  // Makes a guest of the notes that came with an image whose pfns end at `end`;
  // see DecodeNotes().  Never changes the domain.
  absl::StatusOr<NotedGuest> PlanGuest(const GuestNotes& notes,
                                       const PfnSet& received, Pfn end,
                                       StopCheck stop) const;
  // Gives the guest's pages frames and their contents, and installs the guest:
  // paused or held, as `arrival` says, and with a list that is stale for tools.
  // Other pages received are dropped.  When `stop` ends it, some pages have
  // frames, and the domain must be dropped.
  // REQUIRES: the domain has no page yet, and received.claim has a frame for
  // each of the guest's pages.
  absl::Status TakeGuestIn(const Operation& operation, NotedGuest noted,
                           absl::Span<const Pfn> record_pages,
                           ReceivedPages& received, LimitsFrom limits,
                           Arrival arrival) const;

  // Gives all pages received frames and their contents.  Stops and requires as
  // TakeGuestIn() does.
  absl::Status TakeIn(const Operation& operation,
                      ReceivedPages& received) const;
  // Notes that the domain, whose pages have come in, has a foreign kernel,
  // whose list is in the pages `leaves`, and at least `vcpus` virtual CPUs.  It
  // stays BUILT, and cannot run (GUEST_KERNEL_UNKNOWN).
  absl::Status AdoptForeignKernel(const Operation& operation,
                                  absl::Span<const uint64_t> leaves,
                                  uint32_t vcpus) const;

 private:
  absl::Status PlacePages(const Operation& operation, const PfnSet& pages,
                          ReceivedPages& received) const;

  Domain& domain_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_DOMAIN_BUILD_H_
