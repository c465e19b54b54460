#include "domain/guest/boot_figures.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "domain/units/extent_set.h"
#include "domain/units/status_macros.h"

namespace simvisor {
namespace {

// What a kernel reserves in every domain, whether its map has RAM there or not.
constexpr uint64_t kIsaStart = uint64_t{0xa0000};
constexpr uint64_t kIsaEnd = uint64_t{1} << 20;

// Adds what of `entry` lies outside of the ISA area.
void AddOutsideIsa(const E820Entry& entry, std::vector<E820Entry>& entries) {
  const uint64_t below_end = std::min(entry.end(), kIsaStart);
  if (entry.start < below_end) {
    entries.push_back({entry.start, below_end - entry.start, entry.type});
  }
  const uint64_t above_start = std::max(entry.start, kIsaEnd);
  if (above_start < entry.end()) {
    entries.push_back({above_start, entry.end() - above_start, entry.type});
  }
}

absl::StatusOr<E820Map> KernelMap(const MemorySetupInput& input,
                                  const MemorySetup& setup) {
  PfnSet kept;
  kept.Add({Pfn(0), input.nr_pages});
  for (const PfnExtent& room : setup.extra) {
    if (!room.empty()) kept.Add(room);
  }
  std::vector<E820Entry> entries = {
      {kIsaStart, kIsaEnd - kIsaStart, E820Type::kReserved}};
  for (const E820Entry& entry : input.e820->entries()) {
    if (entry.type != E820Type::kRam) AddOutsideIsa(entry, entries);
  }
  for (const PfnExtent& ram : input.e820->RamPages()) {
    for (const auto& [first, end] : kept.extents()) {
      const PfnExtent both =
          ExtentBetween(std::max(first, ram.first), std::min(end, ram.end()));
      if (both.empty()) continue;
      AddOutsideIsa({both.first.value() * kPageSize, both.count.in_bytes(),
                     E820Type::kRam},
                    entries);
    }
  }
  return E820Map::Create(std::move(entries));
}

std::vector<PfnExtent> RemapArea(const MemorySetup& setup) {
  PfnSet targets;
  for (const MemorySetup::Move& move : setup.moves) {
    targets.Add({move.target, move.source.count});
  }
  std::vector<PfnExtent> area;
  for (const auto& [first, end] : targets.extents()) {
    area.push_back(ExtentBetween(first, end));
  }
  return area;
}

}  // namespace

absl::StatusOr<BootFigures> FiguresOfBoot(const MemorySetupInput& input) {
  BootFigures figures;
  SIMVISOR_ASSIGN_OR_RETURN(figures.setup, PlanMemorySetup(input));
  SIMVISOR_ASSIGN_OR_RETURN(figures.map, KernelMap(input, figures.setup));
  figures.remap_area = RemapArea(figures.setup);
  figures.ram_end = figures.map.RamPages().back().end();
  return figures;
}

}  // namespace simvisor
