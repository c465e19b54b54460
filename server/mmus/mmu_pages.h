// The pages of ListSecondaryMmus.
//
// A page token is "DOMID:SUBSCRIPTION", the one to go on from.  It stays valid
// whatever subscribes or leaves between two pages.
//
// Thread safety: may be called from any thread.

#ifndef SIMVISOR_SERVER_MMUS_MMU_PAGES_H_
#define SIMVISOR_SERVER_MMUS_MMU_PAGES_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "server/machine/machine.h"
#include "simvisor/v1/secondary_mmu_service.pb.h"

namespace simvisor::server {

// Most subscriptions in one page, and those in one if the request does not say.
inline constexpr uint32_t kMaxMmuPageSize = 1000;
inline constexpr uint32_t kMmuPageSize = 100;

// A page ends early once it holds this many bytes: a subscription may have 1024
// intervals.
inline constexpr size_t kMaxMmuPageBytes = size_t{2} << 20;

// INVALID_ARGUMENT: ARGUMENT_TOO_LARGE (page_size), ARGUMENT_MALFORMED
// (page_token).  Errors of LookUpDomain().
absl::Status FillMmuPage(Machine& machine,
                         const v1::ListSecondaryMmusRequest& request,
                         v1::ListSecondaryMmusResponse* response);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MMUS_MMU_PAGES_H_
