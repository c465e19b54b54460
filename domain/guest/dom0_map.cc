#include "domain/guest/dom0_map.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace simvisor {
namespace {

constexpr absl::string_view kDom0Map = "Xen: [mem 0x";
// As kernels before Linux 3.5 print it.
constexpr absl::string_view kOldDom0Map = "Xen: 0";
constexpr absl::string_view kFirmwareMap = "BIOS-e820: ";
constexpr absl::string_view kHypervisor = "(XEN)";

// Words that a kernel prints around its map, and about the frames it moved.
constexpr std::array<absl::string_view, 5> kKernelWords = {
    "Linux version ", "BIOS-provided physical RAM map", "Released ",
    "Remapped ", "1-1 mapping"};

// Whether `line` of dom0's own map is RAM in the area of the iBFT.
bool IsRamInIbftArea(absl::string_view line) {
  line.remove_prefix(line.find(kDom0Map) + kDom0Map.size());
  const std::pair<absl::string_view, absl::string_view> range =
      absl::StrSplit(line, absl::MaxSplits("-0x", 1));
  uint64_t start = 0;
  uint64_t last = 0;
  return absl::StrContains(line, "] usable") &&
         absl::SimpleHexAtoi(range.first, &start) &&
         absl::SimpleHexAtoi(range.second.substr(0, range.second.find(']')),
                             &last) &&
         start < kIbftEnd && last >= kIbftStart;
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
  for (const absl::string_view line : absl::StrSplit(boot_log, '\n')) {
    if (absl::StrContains(line, kHypervisor)) {
      hypervisor = true;
    } else if (absl::StrContains(line, kOldDom0Map)) {
      return false;
    } else if (absl::StrContains(line, kDom0Map)) {
      dom0_map = true;
      dom0_ram = dom0_ram || IsRamInIbftArea(line);
    } else if (absl::StrContains(line, kFirmwareMap)) {
      firmware_map = true;
    } else {
      kernel = kernel || std::any_of(kKernelWords.begin(), kKernelWords.end(),
                                     [line](absl::string_view words) {
                                       return absl::StrContains(line, words);
                                     });
    }
  }
  if (dom0_map) return !(kernel && dom0_ram);
  return hypervisor || !firmware_map;
}

}  // namespace simvisor
