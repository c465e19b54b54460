// What happens to domains, one line each in the daemon's log at level info:
//
//   web (3): created with 64 MiB (16384 pages)
//
// A line begins with the domain's name and domid.  The text is made only if the
// log takes it, and a line for which there is no memory is left out: what it
// tells of has happened all the same.  A line takes 2 or 3 us, in a file 5.
//
// Thread safety: thread-safe.  A log that blocks, blocks the caller, so no lock
// of the machine is held; except for the first time that a fault rule makes an
// allocation fail.

#ifndef SIMVISOR_SERVER_MACHINE_EVENTS_H_
#define SIMVISOR_SERVER_MACHINE_EVENTS_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "domain/units/units.h"
#include "domain/vm/domain.h"

namespace simvisor::server {

// "web (3)"; "domain 3" without a name, which a destroyed domain does not have.
std::string Named(absl::string_view name, DomainId id);

// "64 MiB (16384 pages)"; "64.25 MiB (16448 pages)".
std::string PagesText(PageCount pages);

// Logs what Named() returns of the domain, a colon and what `text` returns.
void LogEvent(const Domain& domain, absl::FunctionRef<std::string()> text);
// Logs what `text` returns.
void LogEvent(absl::FunctionRef<std::string()> text);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_EVENTS_H_
