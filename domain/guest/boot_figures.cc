#include "domain/guest/boot_figures.h"

#include <algorithm>
#include <cstdint>

#include "base/status_macros.h"
#include "domain/collections/extent_set.h"

namespace simvisor {
namespace {

// What a kernel reserves in every domain, whether its map has RAM there or not.
constexpr uint64_t kIsaStart = uint64_t{0xa0000};
constexpr uint64_t kIsaEnd = uint64_t{1} << 20;

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
    if (entry.type != E820Type::kRam) entries.push_back(entry);
  }
  for (const PfnExtent& ram : input.e820->RamPages()) {
    for (const auto& [first, end] : kept.extents()) {
      const PfnExtent both =
          ExtentBetween(std::max(first, ram.first), std::min(end, ram.end()));
      if (both.empty()) continue;
      entries.push_back({both.first.value() * kPageSize, both.count.in_bytes(),
                         E820Type::kRam});
    }
  }
  return E820Map::CreateDerived(ResolveOverlaps(entries));
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
