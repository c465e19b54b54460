// What happens to domains, one line each in the daemon's log at level info:
//
//   web (3): created with 64 MiB (16384 pages)
//
// A line begins with the domain's name and domid.  The text is made only if the
// log takes it.  If memory is short the line is left out, and the event has
// happened all the same.  A line takes 2 to 6 us.
//
// Thread safety: thread-safe.  The lock of the log is a leaf, and the log does
// not wait for its reader (server/logging.h), so any lock may be held.

#ifndef SIMVISOR_SERVER_MACHINE_EVENTS_H_
#define SIMVISOR_SERVER_MACHINE_EVENTS_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "domain/vm/domain.h"

namespace simvisor::server {

// Logs "web (3): " and what `text` returns.
void LogEvent(const Domain& domain, absl::FunctionRef<std::string()> text);
// Logs what `text` returns.
void LogEvent(absl::FunctionRef<std::string()> text);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_EVENTS_H_
