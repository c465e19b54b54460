// The default limit for the memory that the contents of guests take.
//
// Thread safety: may be called from any thread.  ReadSystemMemory() reads files
// and the limits of this process.

#ifndef SIMVISOR_SERVER_MACHINE_GUEST_MEMORY_LIMIT_H_
#define SIMVISOR_SERVER_MACHINE_GUEST_MEMORY_LIMIT_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "domain/units/units.h"

namespace simvisor::server {

// The memory that the system has for this process, in bytes; kUnlimited where
// it sets no limit, or does not say.
struct SystemMemory {
  static constexpr uint64_t kUnlimited = ~uint64_t{0};

  uint64_t ram = kUnlimited;
  uint64_t cgroup = kUnlimited;         // the least of its memory.max
  uint64_t data = kUnlimited;           // RLIMIT_DATA
  uint64_t address_space = kUnlimited;  // RLIMIT_AS
};

// The least of half of the RAM, half of the cgroup's memory, half of
// RLIMIT_DATA, and a quarter of RLIMIT_AS, half of which may go to lists of
// frames (MappingBudget::BoundFor()); at least a page.
PageCount DefaultGuestMemory(const SystemMemory& system);

SystemMemory ReadSystemMemory();

// Parses a file like memory.max: a number of bytes; kUnlimited for "max" and
// for anything that is not a number.
uint64_t ParseMemoryMax(absl::string_view text);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_GUEST_MEMORY_LIMIT_H_
