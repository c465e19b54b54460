// The keys cpus and cpus_soft of xl.cfg.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_XL_AFFINITY_KEYS_H_
#define SIMVISOR_CLIENT_XL_AFFINITY_KEYS_H_

#include "absl/status/status.h"
#include "client/xl/xlu_config.h"
#include "simvisor/v1/domain_service.pb.h"

namespace simvisor::client {

// Fills in the affinities of `spec`, whose number of virtual CPUs is set.  A
// string applies to all of them, element i of a list to virtual CPU i.  Virtual
// CPUs past the end of a list run anywhere, and elements past the last virtual
// CPU are ignored, as in xl.  INVALID_ARGUMENT as for ParseCpuSet(), with the
// key before the message.
absl::Status ReadAffinities(XluConfig& config, v1::DomainSpec& spec);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_XL_AFFINITY_KEYS_H_
