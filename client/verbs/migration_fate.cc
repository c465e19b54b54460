#include "client/verbs/migration_fate.h"

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "client/api/error.h"

namespace simvisor::client {
namespace {

constexpr absl::Duration kAskEvery = absl::Milliseconds(50);

bool IsUndecided(v1::MigrationState state) {
  return state == v1::MIGRATION_STATE_COPYING ||
         state == v1::MIGRATION_STATE_COMMITTING;
}

// The migration from this daemon; nullopt if it has none of this id.
absl::StatusOr<std::optional<v1::Migration>> FindOutgoing(
    const Client& client, const std::string& id) {
  SIMVISOR_ASSIGN_OR_RETURN(const v1::ListMigrationsResponse all,
                            client.ListAllMigrations());
  for (const v1::Migration& migration : all.migrations()) {
    if (migration.migration_id() == id &&
        migration.direction() == v1::MIGRATION_DIRECTION_OUTGOING) {
      return migration;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string DescribeFate(const v1::Migration& migration) {
  const std::string domain =
      absl::StrCat(migration.name(), " (", migration.domid(), ")");
  switch (migration.state()) {
    case v1::MIGRATION_STATE_KEPT:
      return absl::StrCat(domain, " stays here and runs on; ", migration.peer(),
                          " drops what it has received");
    case v1::MIGRATION_STATE_MOVED:
      return absl::StrCat(domain, " has moved: it runs at ", migration.peer(),
                          " and is gone here");
    case v1::MIGRATION_STATE_UNKNOWN:
      return absl::StrCat(
          domain, " stays suspended here: ", migration.peer(),
          " was told to run it and has not answered; this daemon keeps asking, "
          "and 'migrate-resolve ",
          migration.migration_id(), "' decides if it never answers");
    default:
      return absl::StrCat(domain,
                          ": the daemon has not decided yet; "
                          "'migrations' shows what becomes of it");
  }
}

std::string FindFate(const Client& client, const std::string& id,
                     absl::Duration patience) {
  if (id.empty()) return "no migration had begun; the domain stays here";
  const absl::Time end = absl::Now() + patience;
  while (true) {
    const auto found = FindOutgoing(client, id);
    if (!found.ok()) {
      return absl::StrCat("what became of migration ", id,
                          " is not known: ", Describe(found.status()));
    }
    if (!found->has_value()) {
      return absl::StrCat("migration ", id,
                          " had not begun; the domain stays here");
    }
    if (!IsUndecided((*found)->state()) || absl::Now() >= end) {
      return DescribeFate(**found);
    }
    absl::SleepFor(kAskEvery);
  }
}

}  // namespace simvisor::client
