// Ids that no other daemon may choose as well: they come from the system, and
// not from a seed.
//
// Thread safety: may be called from any thread.

#ifndef SIMVISOR_SERVER_MIGRATION_MIGRATION_IDS_H_
#define SIMVISOR_SERVER_MIGRATION_MIGRATION_IDS_H_

#include <string>

namespace simvisor::server {

// Of a migration: 128 bits, as 32 hexadecimal digits.
std::string NewMigrationId();

// Of one run of a daemon: 64 bits, as 16 digits.
std::string NewInstanceId();

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_MIGRATION_IDS_H_
