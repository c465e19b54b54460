// The pages of ListVcpus.
//
// A page token is the virtual CPU to go on from, in decimal.
//
// Thread safety: may be called from any thread.

#ifndef SIMVISOR_SERVER_DOMAINS_VCPU_PAGES_H_
#define SIMVISOR_SERVER_DOMAINS_VCPU_PAGES_H_

#include "absl/status/status.h"
#include "domain/vm/domain.h"
#include "simvisor/v1/domain_service.pb.h"

namespace simvisor::server {

// Ends a page at kMaxPageSize virtual CPUs, or at kMaxPageBytes, since a mask
// may have thousands of ranges (domain_pages.h).
//
// INVALID_ARGUMENT: ARGUMENT_TOO_LARGE (page_size), ARGUMENT_MALFORMED
// (page_token).  FAILED_PRECONDITION DOMAIN_DYING.
absl::Status FillVcpuPage(Domain& domain, const v1::ListVcpusRequest& request,
                          StopCheck stop, v1::ListVcpusResponse* response);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_DOMAINS_VCPU_PAGES_H_
