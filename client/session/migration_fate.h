// What became of a migration that its caller no longer follows.
//
// Thread safety: as Session.

#ifndef SIMVISOR_CLIENT_SESSION_MIGRATION_FATE_H_
#define SIMVISOR_CLIENT_SESSION_MIGRATION_FATE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/api/client.h"
#include "client/session/session.h"
#include "client/session/settled.h"
#include "simvisor/v1/live_migration.pb.h"

namespace simvisor::client {

// A migration that was asked for.
struct AskedMigration {
  std::string id;
  // The daemon's own address, as a target.
  std::string own_address;
};

// Says what the daemon knows of where the domain is.  Waits until the daemon
// has decided, as long as `patience` allows; it asks the other daemon within a
// few seconds.
std::string FindFate(const Client& client, const AskedMigration& asked,
                     const Patience& patience = {});

// The same for a migration as the daemon shows it.
std::string DescribeFate(const v1::Migration& migration,
                         absl::string_view own_address);

// For a command during which a signal came, when its call has ended with
// `status`: prints FindFate() as a note, flushes the output, and prints
// `status`, unless it is OK or says only that the signal has cancelled the
// call.
void EndInterrupted(Session& session, const Client& client,
                    const AskedMigration& asked, const absl::Status& status);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SESSION_MIGRATION_FATE_H_
