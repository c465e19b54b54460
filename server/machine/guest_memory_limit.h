// How much of the system's memory the contents of guests may take, unless told.
//
// Thread safety: DefaultGuestMemory() is a pure function; ReadSystemMemory()
// reads files and limits of this process.

#ifndef SIMVISOR_SERVER_MACHINE_GUEST_MEMORY_LIMIT_H_
#define SIMVISOR_SERVER_MACHINE_GUEST_MEMORY_LIMIT_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "domain/units/units.h"

namespace simvisor::server {

// What the system has for this process, in bytes; kUnlimited where it does not
// say.
struct SystemMemory {
  static constexpr uint64_t kUnlimited = ~uint64_t{0};

  uint64_t ram = kUnlimited;
  uint64_t cgroup = kUnlimited;         // the least of its memory.max
  uint64_t data = kUnlimited;           // RLIMIT_DATA
  uint64_t address_space = kUnlimited;  // RLIMIT_AS
};

// The least of half of the RAM, half of the cgroup's memory, half of
// RLIMIT_DATA, and a quarter of RLIMIT_AS, half of which may go to lists of
// frames (AddressSpace::BoundFor()); at least a page.
PageCount DefaultGuestMemory(const SystemMemory& system);

SystemMemory ReadSystemMemory();

// What a file like memory.max says: a number of bytes, or kUnlimited for "max"
// and for what is no number.
uint64_t ParseMemoryMax(absl::string_view text);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_GUEST_MEMORY_LIMIT_H_
