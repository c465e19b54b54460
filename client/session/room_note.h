// What a guest that has booted may grow to.
//
// Thread safety: as Session.

#ifndef SIMVISOR_CLIENT_SESSION_ROOM_NOTE_H_
#define SIMVISOR_CLIENT_SESSION_ROOM_NOTE_H_

#include "client/session/session.h"
#include "simvisor/v1/domain_service.pb.h"

namespace simvisor::client {

// Prints a note if `domain` runs and its kernel has less room to balloon than
// maxmem says.
void NoteRoom(Session& session, const v1::Domain& domain);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SESSION_ROOM_NOTE_H_
