// The notes that a suspended domain's kernel makes about itself, and the guest
// that an incoming domain makes of them (docs/images.md has the table of
// fields).
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_VM_KERNEL_NOTES_H_
#define SIMVISOR_DOMAIN_VM_KERNEL_NOTES_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/allocation_faults.h"
#include "domain/collections/extent_set.h"
#include "domain/guest/guest.h"
#include "domain/guest/mapping_epoch.h"
#include "domain/guest/suspend_record.h"
#include "domain/p2m/p2m_words.h"
#include "domain/units/abi.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"
#include "domain/vm/parts.h"
#include "domain/vm/reservation.h"

namespace simvisor {

// Encodes the notes of a domain.  Fails with the status of `stop`.
// REQUIRES: the domain has a guest that passes CheckCanTravel().
absl::StatusOr<std::string> EncodeNotes(const Parts& on, uint32_t vcpus,
                                        StopCheck stop);

// What is known of an incoming domain beside its notes.
struct NotesInput {
  DomainId id;
  const Abi* abi = nullptr;
  const PfnSet& received;  // pages that came
  Pfn end;                 // of the image's pfns
  AllocationFaults* faults = nullptr;
};

// A guest that can be installed once its pages have frames.
struct NotedGuest {
  PfnSet ram;  // its pages, which need not be all that came
  uint32_t vcpus = 1;
  Reservation limits;
  // That the domain had where it was suspended.
  uint64_t mapping_epoch = kFirstMappingEpoch;
  std::unique_ptr<P2mWords> words;  // without frames
  std::unique_ptr<Guest> guest;
};

// INVALID_ARGUMENT IMAGE_MALFORMED, with field, offset, value and limit, if
// notes and pages do not make a guest; RESOURCE_EXHAUSTED
// HOST_ADDRESS_SPACE_EXHAUSTED; the status of `stop`.
absl::StatusOr<NotedGuest> DecodeNotes(const GuestNotes& notes,
                                       const NotesInput& input, StopCheck stop);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_KERNEL_NOTES_H_
