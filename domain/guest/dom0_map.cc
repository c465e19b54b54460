#include "domain/guest/dom0_map.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "domain/guest/log_text.h"
#include "domain/guest/map_line.h"

namespace simvisor {
namespace {

constexpr absl::string_view kHypervisor = "(XEN)";
// Kernels before Linux 3.5 print their maps in another form.
constexpr absl::string_view kNewForm = "[mem ";

// Words that a kernel prints around its map, and about the frames it moved.
constexpr std::array<absl::string_view, 5> kKernelWords = {
    "Linux version ", "BIOS-provided physical RAM map", "Released ",
    "Remapped ", "1-1 mapping"};

// Whether `line` is RAM in the area of the iBFT.
bool IsRamInIbftArea(const MapLine& line) {
  const absl::StatusOr<E820Entry> entry = ParseMapLine(line);
  return entry.ok() && entry->type == E820Type::kRam &&
         entry->start < kIbftEnd && entry->end() > kIbftStart;
}

}  // namespace

absl::StatusOr<E820Map> Dom0Map(const E820Map& machine, bool reserves_ibft) {
  std::vector<E820Entry> entries = machine.entries();
  for (E820Entry& entry : entries) {
    if (entry.type == E820Type::kUnusable) entry.type = E820Type::kRam;
  }
  if (reserves_ibft) {
    entries.push_back({kIbftStart, kIbftEnd - kIbftStart, E820Type::kReserved});
  }
  return E820Map::Create(ResolveOverlaps(entries));
}

bool ReservesIbft(absl::string_view boot_log) {
  bool dom0_map = false;
  bool dom0_ram = false;
  bool firmware_map = false;
  bool hypervisor = false;
  bool kernel = false;
  for (const absl::string_view raw : absl::StrSplit(boot_log, '\n')) {
    const std::string line = CleanLogLine(raw);
    const std::optional<MapLine> of_map = FindMapLine(0, line);
    if (absl::StrContains(line, kHypervisor)) {
      hypervisor = true;
    } else if (of_map.has_value() && of_map->tag == MapTag::kXen) {
      if (!absl::StartsWith(of_map->text, kNewForm)) return false;
      dom0_map = true;
      dom0_ram = dom0_ram || IsRamInIbftArea(*of_map);
    } else if (of_map.has_value() && of_map->tag == MapTag::kBios) {
      firmware_map = true;
    } else {
      kernel = kernel || std::any_of(kKernelWords.begin(), kKernelWords.end(),
                                     [&line](absl::string_view words) {
                                       return absl::StrContains(line, words);
                                     });
    }
  }
  if (dom0_map) return !(kernel && dom0_ram);
  return hypervisor || !firmware_map;
}

}  // namespace simvisor
