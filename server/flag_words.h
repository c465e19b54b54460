// The values of the daemon's flags: what the words on its command line mean.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_FLAG_WORDS_H_
#define SIMVISOR_SERVER_FLAG_WORDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/flags.h"

namespace simvisor::server {

// A value as written; nullopt if the flag is not given.
using Word = std::optional<std::string>;

// The values of the flags that are not stored in Options right away.
struct Words {
  std::vector<std::string> listen;
  Word max_connections;
  Word handshake_timeout;
  Word idle_timeout;
  Word host_memory;
  Word dom0_memory;
  Word dom0_max_memory;
  Word dom0_hotplug_limit;
  Word dom0_ibft;
  Word dom0_tools_view;
  Word cpus;
  Word max_guest_memory;
  Word seed;
  Word placement;
  Word max_calls;
  Word max_message_memory;
  Word log_level;
  Word stall_timeout;
  Word migration_targets;
  Word max_image_memory;
  Word mmu_grace_ms;
};

// Messages of 4 MiB fit into the half that the largest may fill.
inline constexpr uint64_t kMinMessageBytes = uint64_t{16} << 20;

// Bytes in MiB, rounded down, such as "16m".
std::string FormatMib(uint64_t bytes);

// Sets in `options` what `words` give.  INVALID_ARGUMENT, naming flag, value
// and limit, for the first word that cannot be read.
absl::Status ReadWords(const Words& words, Options& options);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_FLAG_WORDS_H_
