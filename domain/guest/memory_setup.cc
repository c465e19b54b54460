#include "domain/guest/memory_setup.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/p2m/relocation_plan.h"

namespace simvisor {
namespace {

// Room to balloon is at most this many times the initial size.
constexpr uint64_t kExtraMemRatio = 10;

Pfn PageDown(uint64_t bytes) { return Pfn(bytes / kPageSize); }
Pfn PageUp(uint64_t bytes) { return Pfn((bytes + kPageSize - 1) / kPageSize); }

// The maximal stretches below the map's end that are not RAM, rounded outwards
// (xen_foreach_remap_area()).  If RAM begins and ends inside one page, the page
// is in two stretches and counts for the first.  (A kernel takes it twice, and
// stops the second time.)
std::vector<PfnExtent> NonRamStretches(const E820Map& map) {
  std::vector<PfnExtent> stretches;
  uint64_t start = 0;  // end of the last RAM entry, in bytes
  Pfn taken;           // stretches below it are listed
  for (const E820Entry& entry : map.entries()) {
    const bool ram = entry.type == E820Type::kRam;
    const bool last = &entry == &map.entries().back();
    if (!ram && !last) continue;
    const PfnExtent stretch =
        ExtentBetween(std::max(PageDown(start), taken),
                      PageUp(ram ? entry.start : entry.end()));
    if (!stretch.empty()) {
      stretches.push_back(stretch);
      taken = stretch.end();
    }
    start = entry.end();
  }
  return stretches;
}

// The next RAM pfns at or behind `cursor` (xen_find_pfn_range()).
std::optional<PfnExtent> NextRam(const E820Map& map, Pfn cursor) {
  for (const E820Entry& entry : map.entries()) {
    const Pfn end = PageDown(entry.end());
    if (entry.type != E820Type::kRam || end <= cursor) continue;
    return ExtentBetween(std::max(PageUp(entry.start), cursor), end);
  }
  return std::nullopt;
}

// Plans moves out of `stretch`, the targets starting at `cursor`.
void PlanStretch(const MemorySetupInput& in, PfnExtent stretch, Pfn& cursor,
                 MemorySetup& plan) {
  plan.identity.push_back(stretch);
  Pfn at = stretch.first;
  const Pfn end = std::min(stretch.end(), Pfn(in.nr_pages.value()));
  while (at < end) {
    const std::optional<PfnExtent> room = NextRam(*in.e820, cursor);
    if (!room.has_value() || room->empty()) {
      plan.released.push_back(ExtentBetween(at, end));
      plan.released_pages += end - at;
      return;
    }
    const PageCount count = std::min(end - at, room->count);
    plan.moves.push_back({{at, count}, room->first});
    plan.moved_pages += count;
    plan.note_pages += PageCount((count.value() + in.abi->remap_chunk() - 1) /
                                 in.abi->remap_chunk());
    cursor = room->first + count;
    at += count;
  }
}

// Pages of room to balloon that the kernel asks for.
PageCount ExtraPages(const MemorySetupInput& in, PageCount to_remap) {
  PageCount ceiling(in.abi->guest_page_limit);
  // The 512 GiB limit of a 64-bit guest can be switched off; a domain or map
  // beyond it implies that.
  const Pfn map_end = in.e820->EndPage();
  if (in.abi->arch == Arch::kX86_64 && map_end.value() > ceiling.value()) {
    ceiling = PageCount(map_end.value());
  }
  if (in.initial) ceiling = std::min(in.ceiling, ceiling);
  ceiling += to_remap;
  if (ceiling <= in.nr_pages) return PageCount(0);
  const uint64_t base = std::min(in.nr_pages.value(), in.abi->low_memory_pages);
  return std::min(ceiling - in.nr_pages, PageCount(kExtraMemRatio * base));
}

// Deals room out of `extra` pages to the RAM [start, end), in bytes, which lies
// above the initial size.  The kernel takes as many bytes as it has pages left,
// then counts the whole pages in them: RAM that starts inside a page leaves one
// page over, which the kernel tries in vain to place on each following page;
// RAM that starts and ends inside one page even adds a page
// (xen_memory_setup()).
void DealExtra(uint64_t start, uint64_t end, uint64_t& extra,
               MemorySetup& plan) {
  while (start < end && extra > 0) {
    if (extra == 1 && start % kPageSize != 0) {
      start += (end - start - 1) / kPageSize * kPageSize;
    }
    const uint64_t bytes =
        end - start < extra * kPageSize ? end - start : extra * kPageSize;
    const Pfn first = PageUp(start);
    const Pfn last = PageDown(start + bytes);
    // `last` may be one below `first`.
    extra = extra + first.value() - last.value();
    const PfnExtent dealt =
        last > first ? ExtentBetween(first, last) : PfnExtent{last, {}};
    plan.extra.push_back(dealt);
    plan.extra_left.Add(dealt);
    start += bytes;
  }
}

// Deals `extra` pages to the map's RAM above the initial size, in map order.
void DealExtra(const MemorySetupInput& in, PageCount extra, MemorySetup& plan) {
  uint64_t left = extra.value();
  for (const E820Entry& entry : in.e820->entries()) {
    if (entry.type != E820Type::kRam) continue;
    DealExtra(std::max(entry.start, in.nr_pages.in_bytes()), entry.end(), left,
              plan);
  }
}

// Takes the targets of all moves out of the room, as xen_del_extra_mem() does
// when moves to adjacent pfns are joined.
absl::Status TakeTargets(MemorySetup& plan) {
  PfnSet targets;
  for (const MemorySetup::Move& move : plan.moves) {
    targets.Add({move.target, move.source.count});
  }
  for (const auto& [first, end] : targets.extents()) {
    const PfnExtent target = ExtentBetween(first, end);
    const PageCount room = plan.extra_left.CountIn(target);
    const bool partly = room > PageCount(0) && room < target.count;
    if (partly || target.end() > plan.area_end) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, Reason::kE820RemapOverflow,
          absl::StrFormat(
              "boot: %d frames move to pfn 0x%x, but only %d pages there are "
              "room to balloon and the p2m area ends at pfn 0x%x; a kernel "
              "stops here: raise the ceiling to at least the initial size",
              target.count.value(), first.value(), room.value(),
              plan.area_end.value()),
          {{fact::kRequested, target.count.value()},
           {fact::kAvailable, room.value()},
           {fact::kUnit, "pages"}});
    }
    plan.extra_left.Remove(target);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<MemorySetup> PlanMemorySetup(const MemorySetupInput& input) {
  const std::vector<E820Entry>& entries = input.e820->entries();
  // RAM of the last page counts only if it is whole.
  const Pfn map_end = !entries.empty() && entries.back().type == E820Type::kRam
                          ? PageDown(entries.back().end())
                          : input.e820->EndPage();
  if (map_end.value() < input.nr_pages.value()) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kE820Malformed,
        absl::StrFormat("memory map ends at pfn 0x%x, below the domain's %d "
                        "pages; extend the map",
                        map_end.value(), input.nr_pages.value()),
        {{fact::kRequested, input.nr_pages.value()},
         {fact::kLimit, map_end.value()},
         {fact::kUnit, "pages"}});
  }
  MemorySetup plan;
  Pfn cursor(input.nr_pages.value());
  for (const PfnExtent& stretch : NonRamStretches(*input.e820)) {
    PlanStretch(input, stretch, cursor, plan);
  }
  plan.identity.push_back(ExtentBetween(map_end, Pfn::None()));

  // The kernel asks for every frame under a hole, whether it finds room or not.
  DealExtra(input, ExtraPages(input, plan.moved_pages + plan.released_pages),
            plan);
  const uint64_t leaf = input.abi->leaf_span();
  plan.last_pfn = plan.extra.empty()
                      ? Pfn((input.nr_pages.value() + leaf - 1) / leaf * leaf)
                      : plan.extra.back().end();
  plan.area_end = AreaEnd(*input.abi, plan.last_pfn, input.area_limit);
  if (plan.area_end.value() > input.abi->pfn_limit) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kMemorySizeInvalid,
        absl::StrFormat(
            "p2m area up to pfn 0x%x: an %s guest manages pfns below "
            "0x%x; lower the memory, the map's last RAM or the "
            "hotplug limit",
            plan.area_end.value(), input.abi->name, input.abi->pfn_limit),
        {{fact::kValue, Hex(plan.area_end.value())},
         {fact::kLimit, Hex(input.abi->pfn_limit)}});
  }
  SIMVISOR_RETURN_IF_ERROR(TakeTargets(plan));
  return plan;
}

}  // namespace simvisor
