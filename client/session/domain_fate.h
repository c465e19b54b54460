// What became of a domain or of its memory, for a command that a signal has
// interrupted.
//
// Thread safety: as Session.

#ifndef SIMVISOR_CLIENT_SESSION_DOMAIN_FATE_H_
#define SIMVISOR_CLIENT_SESSION_DOMAIN_FATE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/api/client.h"
#include "client/session/session.h"
#include "client/session/settled.h"
#include "client/ui/exit_signals.h"
#include "simvisor/v1/common.pb.h"

namespace simvisor::client {

// How long a call that is about to succeed may go on after a signal: most calls
// end by themselves in this time, and then it is known what they have done.
inline constexpr absl::Duration kCallGrace = absl::Seconds(2);

// Limits of a call that is cancelled if it has not ended by itself in this time
// after a signal.  `interruption` must outlive the call.
CallLimits EndSoonAfter(const Interruption& interruption);

// Says in which state the daemon has the domain, such as "web (3) runs here";
// "web IF_MISSING" if it has none.  Waits until the domain is not suspended, as
// long as `patience` allows.
std::string FindDomainFate(const Client& client, const v1::DomainRef& domain,
                           absl::string_view if_missing,
                           const Patience& patience = {});

// Says how much memory the guest of the domain has, such as "web (3) has 512
// MiB (131072 pages) and a target of 256 MiB (65536 pages)"; as
// FindDomainFate() if that is not known.
std::string FindMemoryFate(const Client& client, const v1::DomainRef& domain,
                           const Patience& patience = {});

// Says that the daemon is about to be asked, which may take a while.
void AnnounceAsking(Session& session);

// For a command during which a signal came, when its call has ended with
// `status`: prints "interrupted: FATE" as a note, flushes the output, and
// prints `status`, unless it is OK or says only that the signal has cancelled
// the call (IsCancelledHere()).
void EndInterrupted(Session& session, const absl::Status& status,
                    absl::string_view fate);

// Whether `status` is that of a call which a signal has cancelled: the daemon
// gives a reason with an error of its own.
bool IsCancelledHere(const absl::Status& status);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SESSION_DOMAIN_FATE_H_
