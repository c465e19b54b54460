// What became of a migration that its caller no longer follows.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_VERBS_MIGRATION_FATE_H_
#define SIMVISOR_CLIENT_VERBS_MIGRATION_FATE_H_

#include <string>

#include "absl/time/time.h"
#include "client/api/client.h"
#include "simvisor/v1/migration_service.pb.h"

namespace simvisor::client {

// Says where the domain of the cancelled migration `id` runs, and what is left
// at the other side.  Waits at most `patience` until the daemon has decided.
std::string FindFate(const Client& client, const std::string& id,
                     absl::Duration patience);

// The same for a migration as the daemon shows it.
std::string DescribeFate(const v1::Migration& migration);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_VERBS_MIGRATION_FATE_H_
