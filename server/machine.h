// The machine that a command line describes.
//
// Thread safety: pure functions, but for the file that is read.

#ifndef SIMVISOR_SERVER_MACHINE_H_
#define SIMVISOR_SERVER_MACHINE_H_

#include "absl/status/statusor.h"
#include "domain/guest/e820.h"
#include "domain/host/host.h"
#include "domain/units/units.h"
#include "server/flags.h"

namespace simvisor::server {

// dom0's memory if it is not given: 4 GiB, or a quarter of the RAM of `e820` if
// that is less.
PageCount DefaultDom0Memory(const E820Map& e820);

// Reads the boot log if there is one.  Errors as E820Map::ParseBootLog() and
// DefaultHostE820(), or as the system says of the file.
absl::StatusOr<HostConfig> MakeHostConfig(const Options& options);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_H_
