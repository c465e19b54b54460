#include "client/session/migration_fate.h"

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/api/error.h"
#include "client/session/domain_fate.h"
#include "client/ui/domain_text.h"

namespace simvisor::client {
namespace {

bool IsUndecided(v1::MigrationState state) {
  return state == v1::MIGRATION_STATE_COPYING ||
         state == v1::MIGRATION_STATE_COMMITTING;
}

// The migration from this daemon; nullopt if it has none of this id.
absl::StatusOr<std::optional<v1::Migration>> FindOutgoing(
    const Client& client, const std::string& id, absl::Duration timeout) {
  SIMVISOR_ASSIGN_OR_RETURN(const v1::ListMigrationsResponse all,
                            client.ListAllMigrations(timeout));
  for (const v1::Migration& migration : all.migrations()) {
    if (migration.migration_id() == id &&
        migration.direction() == v1::MIGRATION_DIRECTION_OUTGOING) {
      return migration;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string DescribeFate(const v1::Migration& migration,
                         absl::string_view own_address) {
  const std::string domain = DomainText(migration.name(), migration.domid());
  switch (migration.state()) {
    case v1::MIGRATION_STATE_KEPT:
      return absl::StrCat(domain, " stays here; ", migration.peer(),
                          " drops what it has received");
    case v1::MIGRATION_STATE_MOVED:
      if (migration.peer() == own_address) {
        return absl::StrCat(domain,
                            " has moved: it runs here under a new domid; see "
                            "list");
      }
      return absl::StrCat(domain, " has moved to ", migration.peer(),
                          " and is gone here");
    case v1::MIGRATION_STATE_UNKNOWN:
      return absl::StrCat(
          domain, " stays suspended here: ", migration.peer(),
          " was told to run it and has not answered; this daemon keeps asking, "
          "and if it never answers, decide with migrate-resolve ",
          migration.migration_id(), " --keep or --drop");
    default:
      return absl::StrCat(domain,
                          ": the daemon has not decided yet; "
                          "'migrations' shows what becomes of it");
  }
}

std::string FindFate(const Client& client, const AskedMigration& asked,
                     const Patience& patience) {
  const auto found = LookUntilSettled(
      patience,
      [&](absl::Duration timeout) {
        return FindOutgoing(client, asked.id, timeout);
      },
      [](const std::optional<v1::Migration>& seen) {
        return !seen || !IsUndecided(seen->state());
      });
  if (!found.ok()) {
    return absl::StrCat("what became of migration ", asked.id,
                        " is not known: ", Describe(found.status()));
  }
  if (!found->has_value()) {
    return absl::StrCat("the daemon does not know migration ", asked.id,
                        " (any more); list shows whether the domain is here");
  }
  return DescribeFate(**found, asked.own_address);
}

void EndInterrupted(Session& session, const Client& client,
                    const AskedMigration& asked, const absl::Status& status) {
  AnnounceAsking(session);
  EndInterrupted(session, status, FindFate(client, asked));
}

}  // namespace simvisor::client
