// The machine that a command line describes.
//
// Thread safety: pure functions, except for the file that is read.

#ifndef SIMVISOR_SERVER_HOST_CONFIG_H_
#define SIMVISOR_SERVER_HOST_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "domain/host/host.h"
#include "server/flags.h"

namespace simvisor::server {

// Reads the boot log if one is given, and adds to `notes` what the user should
// know about how it was read.  Errors: as ReadBootLog() and DefaultHostE820(),
// or the system's error for the file.
absl::StatusOr<HostConfig> MakeHostConfig(const Options& options,
                                          std::vector<std::string>& notes);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_HOST_CONFIG_H_
