// How a guest suspends, and where it leaves what an image must have beside its
// memory (p2m.md A9).
//
// Thread safety: thread-compatible, as the guest is.

#ifndef SIMVISOR_DOMAIN_GUEST_GUEST_SUSPEND_H_
#define SIMVISOR_DOMAIN_GUEST_GUEST_SUSPEND_H_

#include "absl/status/status.h"
#include "domain/guest/guest.h"
#include "domain/guest/guest_memory.h"
#include "domain/guest/suspend_record.h"
#include "domain/units/operation.h"

namespace simvisor {

// FAILED_PRECONDITION DOMAIN_NOT_MIGRATABLE if the guest has foreign words, RAM
// past the end that tools see, or a p2m list too large for its tree.
absl::Status CheckCanTravel(const Context& context, const Guest& guest);

// Chooses free pages that hold nothing for the parts of `record`.
// RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED; the status of `stop`.
absl::Status PlaceRecord(const Context& context, const Guest& guest,
                         const GuestMemory& memory, StopCheck stop,
                         SuspendRecord& record);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_GUEST_SUSPEND_H_
