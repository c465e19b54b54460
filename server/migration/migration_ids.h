// Ids that differ from those of every other daemon: they come from the system's
// random numbers, not from a seed.
//
// Thread safety: may be called from any thread.

#ifndef SIMVISOR_SERVER_MIGRATION_MIGRATION_IDS_H_
#define SIMVISOR_SERVER_MIGRATION_MIGRATION_IDS_H_

#include <string>

namespace simvisor::server {

// The id of a migration: 128 bits, as 32 hexadecimal digits.
std::string NewMigrationId();

// The id of one run of a daemon: 64 bits, as 16 hexadecimal digits.
std::string NewInstanceId();

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_MIGRATION_IDS_H_
