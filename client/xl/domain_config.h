// A domain's configuration in xl.cfg form, read by libxlutil.
//
// Keys that make a difference: name, uuid, type, builder, memory, maxmem,
// vcpus, maxvcpus, e820_host, pci, and our own simvisor_hotplug_limit (GiB) and
// simvisor_balloon_max_retry.
// xl's other keys are accepted without effect, since there is no device, kernel
// or disk here; a key that xl does not have is named in a warning.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_XL_DOMAIN_CONFIG_H_
#define SIMVISOR_CLIENT_XL_DOMAIN_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "simvisor/v1/domain_service.pb.h"

namespace simvisor::client {

// Reads `text`, the contents of `file_name`, and then `overrides`, which are
// statements such as memory=512 of their own.  Appends to `warnings` whatever
// has no effect, also when it fails.
//
// INVALID_ARGUMENT with libxlutil's own report for what it cannot parse, and
// with xl's messages for values that do not make a domain.  Bounds that are the
// daemon's are left to the daemon.
absl::StatusOr<v1::DomainSpec> ParseDomainConfig(
    absl::string_view file_name, absl::string_view text,
    absl::Span<const std::string> overrides,
    std::vector<std::string>& warnings);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_XL_DOMAIN_CONFIG_H_
