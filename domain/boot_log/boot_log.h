// What a boot log says about a machine: its memory map, and dom0's memory.
//
// Reads the logs that people have: dmesg (plain, -T, -x, -r, coloured),
// journalctl -k, syslog, xl dmesg, and captures of a serial line with lines of
// both the hypervisor and dom0, in the forms of map_line.h.  Lines may end in
// CR LF and may have anything before the name of their map.  docs/boot-logs.md
// shows examples.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_BOOT_LOG_BOOT_LOG_H_
#define SIMVISOR_DOMAIN_BOOT_LOG_BOOT_LOG_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/e820/e820.h"
#include "domain/units/units.h"

namespace simvisor {

// Logs larger than this many bytes are refused.
inline constexpr size_t kMaxBootLogBytes = size_t{16} << 20;

// Where the chosen map comes from, the preferred source first.
enum class MapSource {
  kHypervisor,   // Xen's own map: the machine's
  kDom0,         // the map of dom0's kernel: the machine's, without RAM that
                 // the kernel cannot use
  kFirmware,     // from the firmware, as a kernel without a hypervisor gets it
  kUntagged,     // lines that do not say whose map they belong to
  kChanged,      // a kernel's map after mem= and the like
  kRawFirmware,  // Xen's, printed before it put the map in order
};

// "the hypervisor's map", and so on.
absl::string_view MapSourceName(MapSource source);

struct BootLog {
  E820Map map;
  MapSource source = MapSource::kUntagged;
  // The first and last line of the map, counted from 1.
  size_t first_line = 0;
  size_t last_line = 0;
  // dom0's initial memory according to the hypervisor: from the size of its
  // frame list, or from what was allocated, or from dom0_mem.
  std::optional<PageCount> dom0_memory;
  // How far dom0 may grow: dom0_mem=max:SIZE, else the RAM that its kernel kept
  // of the hypervisor's map, if that is not all of it.
  std::optional<PageCount> dom0_max_memory;
  // Whether dom0's kernel reserves the area of the iBFT; see ibft_log.h.
  bool dom0_reserves_ibft = true;
  // Notes on the choice for people, one sentence each: several boots in one
  // log, RAM that another map of the log leaves out.
  std::vector<std::string> notes;
};

// Reads `text`.  If a log has maps of several sources, the first source in the
// order of MapSource wins.  If it has several boots, the last one wins, unless
// its map breaks off where the map of an earlier boot continues.  dom0's memory
// is taken from the boot of the chosen map.  Empty ranges and lines that guests
// wrote are ignored.
//
// INVALID_ARGUMENT E820_MALFORMED: more than kMaxBootLogBytes, no map line, a
// malformed line (see ParseMapLine()) in the chosen map, or what
// E820Map::Create() refuses, with the numbers of the lines.
absl::StatusOr<BootLog> ReadBootLog(absl::string_view text);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_BOOT_LOG_H_
