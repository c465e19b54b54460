// The pages of ListMigrations.
//
// Migrations are listed by place (server/sessions/migration_ledger.h).  A page
// token is the place of the first migration of the next page, as
// URGENCY-DIRECTION-NUMBER.
//
// Thread safety: may be called from any thread.

#ifndef SIMVISOR_SERVER_MIGRATION_MIGRATION_PAGES_H_
#define SIMVISOR_SERVER_MIGRATION_MIGRATION_PAGES_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "server/sessions/incoming_migrations.h"
#include "server/sessions/outgoing_migrations.h"
#include "simvisor/v1/live_migration.pb.h"

namespace simvisor::server {

// The most migrations in one page, and the bytes after which a page ends early.
inline constexpr uint32_t kMaxMigrationsInPage = 1000;
inline constexpr size_t kMaxMigrationPageBytes = size_t{2} << 20;

// INVALID_ARGUMENT: ARGUMENT_TOO_LARGE (page_size), ARGUMENT_MALFORMED
// (page_token).
absl::Status FillMigrationPage(const OutgoingMigrations& outgoing,
                               const IncomingMigrations& incoming,
                               const v1::ListMigrationsRequest& request,
                               v1::ListMigrationsResponse* response);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_MIGRATION_PAGES_H_
