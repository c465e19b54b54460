// The pages of ListDomains.
//
// A page token is the domid to go on from, in decimal.  It stays valid whatever
// is created or destroyed between two pages.
//
// Thread safety: may be called from any thread.

#ifndef SIMVISOR_SERVER_DOMAINS_DOMAIN_PAGES_H_
#define SIMVISOR_SERVER_DOMAINS_DOMAIN_PAGES_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "domain/host/host.h"
#include "simvisor/v1/domain_service.pb.h"

namespace simvisor::server {

// Most domains in one page.
inline constexpr uint32_t kMaxPageSize = 1000;

// A page ends early once it holds this many bytes: maps and device lists make
// domains large, and a message ends at 4 MiB.
inline constexpr size_t kMaxPageBytes = size_t{2} << 20;

// INVALID_ARGUMENT: ARGUMENT_TOO_LARGE (page_size), ARGUMENT_MALFORMED
// (page_token).
absl::Status FillDomainPage(const Host& host,
                            const v1::ListDomainsRequest& request,
                            v1::ListDomainsResponse* response);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_DOMAINS_DOMAIN_PAGES_H_
