// The command line of simvisord.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_FLAGS_H_
#define SIMVISOR_SERVER_FLAGS_H_

#include <spdlog/common.h>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "domain/host/host.h"
#include "domain/p2m/p2m_options.h"
#include "domain/units/units.h"
#include "server/calls/call_runner.h"
#include "server/listen/connection_limits.h"
#include "server/listen/listen_address.h"
#include "server/machine/machine.h"
#include "server/migration/migration_targets.h"

namespace simvisor::server {

struct Options {
  // Without duplicates; empty stands for DefaultListenAddress().
  std::vector<ListenAddress> listen;
  // Unset: as many as descriptors allow, up to kDefaultMaxConnections.
  std::optional<uint32_t> max_connections;
  absl::Duration handshake_timeout = kDefaultHandshakeTimeout;
  absl::Duration idle_timeout = kDefaultIdleTimeout;
  // RAM of the machine; unused if a boot log is given.
  PageCount host_memory{64 * kPagesPerGiB};
  // File with a boot log whose memory map becomes the machine's; may be empty.
  std::string host_e820_file;
  // Unset: as ChooseDom0Memory() says; the same for dom0_max_memory.
  std::optional<PageCount> dom0_memory;
  std::optional<PageCount> dom0_max_memory;
  // Least GiB that dom0's p2m area is sized for; checked by the host.
  uint32_t dom0_hotplug_limit_gib = 0;
  // Whether dom0's kernel reserves the area of the iBFT.  Unset: as the boot
  // log says; without a log, it does.
  std::optional<bool> dom0_ibft;
  ToolsView dom0_tools_view = ToolsView::kTree;
  uint32_t cpus = HostConfig().cpus;
  // Limit for the contents of all guests' pages; 0 for no limit.  Unset:
  // DefaultGuestMemory().
  std::optional<PageCount> max_guest_memory;
  uint64_t seed = 1;
  // Without it, uuids are random, as domains of other daemons may come here.
  bool seed_given = false;
  // Limit for images being restored, besides their guests' pages.
  PageCount max_image_memory{HostConfig::kDefaultMaxImageMemory / kPageSize};
  Placement placement = Placement::kLowest;
  // Where domains may be migrated to.
  MigrationTargets migration_targets;
  // What a change that does not wait for secondary MMUs gives them to answer.
  absl::Duration mmu_grace = MachineOptions().mmu_grace;
  // Whether rules for faults are accepted.
  bool fault_injection = false;
  CallBounds calls;
  spdlog::level::level_enum log_level = spdlog::level::info;
};

// What to print, and the exit code, instead of serving.
struct EarlyExit {
  int code = 0;
  std::string out;  // for stdout
  std::string err;  // for stderr
};

// A flag as help shows it.
struct FlagHelp {
  std::string names;  // "-h,--help"
  std::string value;  // what its value is called; empty if it takes none
  std::string text;
  std::string group;  // "Machine"; "Options" for those of no special group
};

// What help shows.
struct DaemonHelp {
  std::string description;
  std::vector<FlagHelp> flags;
  std::string footer;
};
DaemonHelp DescribeFlags();

// Exit code for a command line that cannot be understood.
inline constexpr int kUsageExitCode = 2;

// Parses the arguments, without the program's name.
std::variant<Options, EarlyExit> ParseFlags(
    const std::vector<std::string>& args);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_FLAGS_H_
