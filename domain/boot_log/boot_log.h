// What a boot log says of a machine: its memory map, and dom0's memory.
//
// Read are the logs that people have: dmesg (plain, -T, -x, -r, coloured),
// journalctl -k, syslog, xl dmesg, captures of a serial line with both the
// hypervisor's lines and dom0's, in the forms of map_line.h.  Lines may end in
// CR LF and have anything before their map's name.  docs/boot-logs.md shows
// examples.
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

// A log is refused above this many bytes.
inline constexpr size_t kMaxBootLogBytes = size_t{16} << 20;

// Whose map was taken, the preferred one first.
enum class MapSource {
  kHypervisor,   // Xen's own: the machine's
  kDom0,         // dom0's kernel's: the machine's, without RAM that its kernel
                 // had no use for
  kFirmware,     // as a kernel without a hypervisor got it from the firmware
  kUntagged,     // lines that do not say whose they are
  kChanged,      // what a kernel made of its map by mem= and the like
  kRawFirmware,  // what Xen printed before it put the map in order
};

// "the hypervisor's map", and so on.
absl::string_view MapSourceName(MapSource source);

struct BootLog {
  E820Map map;
  MapSource source = MapSource::kUntagged;
  // Lines that the map begins and ends at, from 1.
  size_t first_line = 0;
  size_t last_line = 0;
  // What the hypervisor says that dom0 was built with: by the size of the list
  // of its frames, or what it allocated, or dom0_mem.
  std::optional<PageCount> dom0_memory;
  // What dom0 may grow to: dom0_mem=max:SIZE, else the RAM that its kernel kept
  // of the hypervisor's map, if it kept less than all.
  std::optional<PageCount> dom0_max_memory;
  // Whether dom0's kernel reserves the area of the iBFT; see ibft_log.h.
  bool dom0_reserves_ibft = true;
  // What people should know of the choice, a sentence each: several boots in
  // one log, RAM that another map of the log leaves out.
  std::vector<std::string> notes;
};

// Reads `text`.  A log may have maps of several sources, of which the first in
// the order of MapSource is taken; and it may have several boots, of which the
// last is taken, unless its map breaks off where that of an earlier one goes
// on. dom0's memory is that of the boot that the map is of.  Empty ranges are
// left out, and so are lines that guests wrote.
//
// INVALID_ARGUMENT E820_MALFORMED: more than kMaxBootLogBytes, no line of a
// map, a malformed line (see ParseMapLine()) of the map that is taken, or what
// E820Map::Create() refuses, with the lines it is of.
absl::StatusOr<BootLog> ReadBootLog(absl::string_view text);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_BOOT_LOG_H_
