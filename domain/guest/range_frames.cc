#include "domain/guest/range_frames.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace simvisor {

std::string OfRange(PfnExtent pfns) {
  return absl::StrFormat("of [0x%x, 0x%x)", pfns.first.value(),
                         pfns.end().value());
}

absl::Status CheckNoKernelPages(const Context& context, PfnExtent pfns,
                                const GuestMemory& memory) {
  if (memory.list_pages().Intersects(pfns)) {
    return context.Refuse(
        absl::StatusCode::kFailedPrecondition, Reason::kPageInUseByKernel,
        OfRange(pfns),
        "pages of the guest's own p2m list lie there; choose a range without "
        "them (p2m stat tells how many there are)",
        {{fact::kValue, Hex(pfns.first.value())}});
  }
  if (memory.HoldsPageTables(pfns)) {
    return context.Refuse(
        absl::StatusCode::kFailedPrecondition, Reason::kPageInUseByKernel,
        OfRange(pfns),
        "page tables of the guest's processes lie there; choose a range "
        "without them, or destroy these address spaces",
        {{fact::kValue, Hex(pfns.first.value())}});
  }
  return absl::OkStatus();
}

absl::Status CheckPagesLeft(const Context& context, const FreePages& free,
                            PfnExtent pfns, PageCount needed) {
  const PageCount left = free.count() - free.set().CountIn(pfns);
  if (needed <= left) return absl::OkStatus();
  return context.Refuse(
      absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
      OfRange(pfns),
      absl::StrFormat("the guest needs %d pages for its p2m list and would "
                      "have %d free; balloon it up or choose a smaller range",
                      needed.value(), left.value()),
      {{fact::kRequested, needed.value()},
       {fact::kAvailable, left.value()},
       {fact::kUnit, "pages"}});
}

absl::StatusOr<std::vector<MfnExtent>> FramesUnder(const Context& context,
                                                   PfnExtent pfns,
                                                   RamPolicy policy,
                                                   const GuestMemory& memory,
                                                   Hypercalls& hypercalls) {
  std::vector<MfnExtent> frames;
  for (Pfn at = pfns.first; at < pfns.end();) {
    SIMVISOR_RETURN_IF_ERROR(hypercalls.Preempted());
    at = memory.words().CollectFrames(ExtentBetween(at, pfns.end()),
                                      kRunsPerHypercall, frames);
    if (policy == RamPolicy::kRefuse && !frames.empty()) {
      return context.Refuse(
          absl::StatusCode::kFailedPrecondition, Reason::kPfnHoldsRam,
          OfRange(pfns),
          absl::StrFormat("RAM lies there, the first at mfn 0x%x; ask to "
                          "release the frames, or balloon them out first",
                          frames.front().first.value()),
          {{fact::kValue, Hex(frames.front().first.value())}});
    }
  }
  return frames;
}

PageCount DisposeOfFrames(absl::Span<const MfnExtent> frames, RamPolicy policy,
                          Hypercalls& hypercalls) {
  PageCount freed;
  if (policy != RamPolicy::kRelease) {
    for (const MfnExtent& extent : frames) {
      hypercalls.MachphysUpdate(extent, Pfn::None());
    }
    return freed;
  }
  while (!frames.empty()) {
    const size_t some = std::min(frames.size(), kRunsPerHypercall);
    freed += hypercalls.DecreaseReservation(frames.subspan(0, some));
    frames.remove_prefix(some);
  }
  return freed;
}

}  // namespace simvisor
