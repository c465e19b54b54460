#include "server/migration/migration_ids.h"

#include <cstdint>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace simvisor::server {

std::string NewInstanceId() {
  std::random_device device;
  return absl::StrFormat("%016x",
                         std::uniform_int_distribution<uint64_t>()(device));
}

std::string NewMigrationId() {
  return absl::StrCat(NewInstanceId(), NewInstanceId());
}

}  // namespace simvisor::server
