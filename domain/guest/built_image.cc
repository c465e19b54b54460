#include "domain/guest/built_image.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/guest/guest_boot.h"
#include "domain/guest/guest_check.h"
#include "domain/guest/guest_memory.h"
#include "domain/guest/range_frames.h"
#include "domain/units/size_text.h"

namespace simvisor {
namespace {

// Pages of a guest with `pages` pages that its kernel may use at boot: the RAM
// of its map without the first MiB.
PfnSet UsablePages(const E820Map& map, PageCount pages) {
  PfnSet usable;
  for (const PfnExtent& ram : map.RamPages()) {
    usable.Add(
        ExtentBetween(ram.first, std::min(ram.end(), Pfn(pages.value()))));
  }
  usable.Remove({Pfn(0), kKernelLowPages});
  return usable;
}

FreePages FreePagesOf(const PfnSet& pages, AllocationFaults* faults) {
  FreePages free(faults);
  for (const auto& [first, end] : pages.extents()) {
    free.Return(ExtentBetween(first, end));
  }
  return free;
}

}  // namespace

absl::StatusOr<BuildPlan> PlanBuild(const BuildInput& input) {
  const GuestConfig& config = input.config;
  SIMVISOR_ASSIGN_OR_RETURN(
      MemorySetup setup,
      PlanMemorySetup({.abi = input.abi,
                       .e820 = &config.e820,
                       .nr_pages = input.memory,
                       .ceiling = input.ceiling,
                       .initial = input.initial,
                       .area_limit = config.HotplugLimit()}));
  SIMVISOR_ASSIGN_OR_RETURN(
      const PageCount boot_pages,
      PagesToBoot(*input.abi, input.memory, setup, config.HotplugLimit(),
                  config.p2m, input.faults));
  const PageCount usable = UsablePages(config.e820, input.memory).size();
  if (boot_pages > usable) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kMemorySizeInvalid,
        absl::StrFormat(
            "create of domain \"%s\": %s of memory: the guest needs %d "
            "pages for its p2m list, and %d are left beside the first MiB and "
            "holes of its map; give it more memory, or lower maxmem or the "
            "map's RAM above its memory",
            input.name, SizeText(input.memory), boot_pages.value(),
            usable.value()),
        {{fact::kRequested, boot_pages.value()},
         {fact::kAvailable, usable.value()},
         {fact::kUnit, "pages"}});
  }
  return BuildPlan{config, input.memory, std::move(setup), boot_pages};
}

absl::StatusOr<std::unique_ptr<BuiltImage>> BuiltImage::Build(
    BuildPlan plan, P2mWords& words, AllocationFaults* faults) {
  assert(words.size() == Pfn(0) && words.capacity() >= plan.setup.area_end);
  FreePages free =
      FreePagesOf(UsablePages(plan.config.e820, plan.memory), faults);
  SIMVISOR_ASSIGN_OR_RETURN(BuilderList list,
                            BuilderList::Build(words, plan.memory, free));
  return std::unique_ptr<BuiltImage>(
      new BuiltImage(std::move(plan), std::move(list), std::move(free), {}));
}

std::unique_ptr<BuiltImage> BuiltImage::Found(BuildPlan plan, BuilderList list,
                                              PfnSet used,
                                              AllocationFaults* faults) {
  PfnSet usable = UsablePages(plan.config.e820, plan.memory);
  list.pages().ForEach([&](PfnExtent pages) {
    usable.Remove(pages);
    used.Remove(pages);
  });
  for (const auto& [first, end] : used.extents()) {
    usable.Remove(ExtentBetween(first, end));
  }
  used.Remove({Pfn(0), kKernelLowPages});
  return std::unique_ptr<BuiltImage>(
      new BuiltImage(std::move(plan), std::move(list),
                     FreePagesOf(usable, faults), std::move(used)));
}

std::unique_ptr<BuiltImage> BuiltImage::OfForeignKernel(BuilderList list) {
  return std::unique_ptr<BuiltImage>(
      new BuiltImage({}, std::move(list), FreePages(), {}));
}

PageCount BuiltImage::PagesInPlan() const {
  return plan_.boot_pages - list_.pages().size();
}

PageCount BuiltImage::PagesStillToBoot() const {
  const Abi& abi = list_.words().abi();
  // On PAE private leaves reuse the builder's pages.  If marks make the last
  // one shared, the room to balloon behind it splits it again, for a page of
  // its own.
  const bool last_leaf_straddles = plan_.memory.value() % abi.leaf_span() != 0;
  return PagesInPlan() +
         PageCount(LeavesStayInPlace(abi) && last_leaf_straddles);
}

absl::StatusOr<RangeChange> BuiltImage::MarkIdentity(
    const Context& context, PfnExtent pfns, absl::Span<const MfnExtent> frames,
    RamPolicy policy, GuestMemory& memory, Hypercalls& hypercalls) {
  assert(pfns.end() <= list_.end());
  SIMVISOR_RETURN_IF_ERROR(
      CheckPagesLeft(context, free_pages_, pfns, PagesStillToBoot()));
  free_pages_.Remove(pfns);
  used_.Remove(pfns);
  list_.MarkIdentity(hypercalls.permit(), pfns.first, pfns.end());
  memory.MarkDirty(pfns);
  return RangeChange{.marked = pfns.count,
                     .released = DisposeOfFrames(frames, policy, hypercalls),
                     .p2m_pages = PageCount(0)};
}

void BuiltImage::Check(Findings& findings) const {
  CheckListAndFreePages(list_.words(), *this, free_pages_, findings);
  CheckPagesInUse(list_.words(), used_, "kernel", *this, free_pages_, findings);
}

bool BuiltImage::Render(Pfn pfn, absl::Span<char> page) const {
  return list_.Render(pfn, page);
}

}  // namespace simvisor
