// The memory maps in a log, one for each time that a map was printed.
//
// Maps are told apart by their tags (map_line.h) and by where they begin: at a
// heading ("... RAM map:"), at the first line of a kernel or of the hypervisor,
// or at a range below the previous one, since maps are printed in order.  A
// hand-written map in another order stays one map if its ranges do not overlap.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_BOOT_LOG_PRINTED_MAPS_H_
#define SIMVISOR_DOMAIN_BOOT_LOG_PRINTED_MAPS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/boot_log/map_line.h"
#include "domain/e820/e820.h"

namespace simvisor {

struct PrintedMap {
  struct Line {
    size_t number;  // from 1
    absl::StatusOr<E820Entry> entry;
  };

  MapTag tag;
  bool raw = false;            // printed by Xen before it put it in order
  bool after_heading = false;  // begins where maps are known to begin
  std::vector<Line> lines;     // at least 1

  size_t first_line() const { return lines.front().number; }
  size_t last_line() const { return lines.back().number; }
};

class PrintedMaps {
 public:
  // Adds line `number` of the log, which is clean; ignores lines that do
  // not belong to a map or start one.
  void Add(size_t number, absl::string_view line);

  // The maps in the order of their first lines.  Call once, at the end.
  std::vector<PrintedMap> Take();

 private:
  enum class Printer { kHypervisor, kKernel };
  // The last of Xen's headings.
  enum class Heading { kNone, kMap, kRawMap, kOther };
  struct Open {
    std::optional<size_t> map;  // index in maps_ of the map that gets lines
    bool begins = false;        // a heading came, and no line since then
    uint64_t start = 0;         // start of its last line
  };

  void AddBeginning(absl::string_view line);
  void AddLine(MapLine line);
  // Makes the next line of `printer` start a new map.
  void Begin(Printer printer);
  // Joins maps that are one map printed out of order.
  void Join();

  std::vector<PrintedMap> maps_;
  std::array<Open, static_cast<size_t>(MapTag::kNone) + 1> open_;  // by tag
  Heading heading_ = Heading::kNone;
  // Whether Xen's last line was a map line or a heading: Xen prints a map
  // without interruption.
  bool in_xens_map_ = false;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_PRINTED_MAPS_H_
