// The machine that a command line describes.
//
// Thread safety: pure functions, but for the file that is read.

#ifndef SIMVISOR_SERVER_HOST_CONFIG_H_
#define SIMVISOR_SERVER_HOST_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "domain/host/host.h"
#include "server/flags.h"

namespace simvisor::server {

// Reads the boot log if there is one, and adds to `notes` what people should
// know of how it was read.  Errors as ReadBootLog() and DefaultHostE820(), or
// as the system says of the file.
absl::StatusOr<HostConfig> MakeHostConfig(const Options& options,
                                          std::vector<std::string>& notes);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_HOST_CONFIG_H_
