// Configurations of domains as xl prints them: a libxl_domain_config as JSON,
// limited to what Simvisor knows.  Memory is in KiB.  As in libxl's own JSON, a
// field that has its default is left out.
//
// Source: libxl_domain_config_to_json() of Xen 4.17.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_UI_XL_JSON_H_
#define SIMVISOR_CLIENT_UI_XL_JSON_H_

#include "client/ui/json.h"
#include "simvisor/v1/domain_service.pb.h"

namespace simvisor::client {

// {"c_info": {"type", "name", "uuid"}, "b_info": {"max_vcpus", "avail_vcpus",
// "max_memkb", "target_memkb", "type.pv"}, "pcidevs"}.  target_memkb is the
// memory target, max_memkb the static maximum.
Json XlConfigOf(const v1::Domain& domain);

// The same for a domain that does not exist yet.  CPU affinities are there too
// unless they reach up to the host's last CPU, whose number only the daemon
// knows.
Json XlConfigOf(const v1::DomainSpec& spec);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_XL_JSON_H_
