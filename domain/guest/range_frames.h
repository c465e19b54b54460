// What lies under a range of pfns whose words are about to change.
//
// Thread safety: functions on thread-compatible objects.

#ifndef SIMVISOR_DOMAIN_GUEST_RANGE_FRAMES_H_
#define SIMVISOR_DOMAIN_GUEST_RANGE_FRAMES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "domain/guest/free_pages.h"
#include "domain/guest/guest_memory.h"
#include "domain/guest/guest_types.h"
#include "domain/guest/hypercalls.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"

namespace simvisor {

// Runs of frames freed in one hypercall, and runs visited between two calls of
// Hypercalls::Preempted().
inline constexpr size_t kRunsPerHypercall = 1 << 12;

// "of [0x100, 0x200)"
std::string OfRange(PfnExtent pfns);

// FAILED_PRECONDITION PAGE_IN_USE_BY_KERNEL if the kernel has pages there.
absl::Status CheckNoKernelPages(const Context& context, PfnExtent pfns,
                                const GuestMemory& memory);
// RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED if fewer than `needed` pages are
// free outside `pfns`.
absl::Status CheckPagesLeft(const Context& context, const FreePages& free,
                            PfnExtent pfns, PageCount needed);
// The frames of the RAM words of `pfns`, in pfn order.  FAILED_PRECONDITION
// PFN_HOLDS_RAM if there are any and the policy is kRefuse; the status of
// Preempted().
absl::StatusOr<std::vector<MfnExtent>> FramesUnder(const Context& context,
                                                   PfnExtent pfns,
                                                   RamPolicy policy,
                                                   const GuestMemory& memory,
                                                   Hypercalls& hypercalls);
// Gives frames whose words have changed back to the hypervisor, and returns how
// many are free now.  Unless the policy is kRelease, keeps them in no word
// instead, and returns 0.
PageCount DisposeOfFrames(absl::Span<const MfnExtent> frames, RamPolicy policy,
                          Hypercalls& hypercalls);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_RANGE_FRAMES_H_
