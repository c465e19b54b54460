// The configuration in the xl layer of a save image: a libxl_domain_config as
// JSON, limited to what the hypervisor and the toolstack know.  What the
// guest's kernel knows travels in its memory.
//
// Source: libxl_domain_config_to_json(), libxl_domain_config_from_json().
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_IMAGES_XL_CONFIG_H_
#define SIMVISOR_SERVER_IMAGES_XL_CONFIG_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/vm/domain.h"

namespace simvisor::server {

// Memory is in KiB.  If any virtual CPU may not run on every CPU, the
// affinities of all of them are there, as lists of CPUs, unless these would be
// too long.
absl::StatusOr<std::string> MakeXlConfig(Domain& domain);

// Ignores unknown keys.  INVALID_ARGUMENT IMAGE_MALFORMED if `json` is not
// JSON, is not the configuration of a PV domain, or has a number out of range.
absl::StatusOr<DomainSpec> ParseXlConfig(absl::string_view json);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_IMAGES_XL_CONFIG_H_
