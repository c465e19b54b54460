#include "domain/guest/guest_suspend.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace simvisor {
namespace {

// Pages visited between two calls of a StopCheck.
constexpr uint64_t kPagesPerStop = 4096;

absl::Status NotMigratable(const Context& context, absl::string_view why) {
  return context.Refuse(absl::StatusCode::kFailedPrecondition,
                        Reason::kDomainNotMigratable, "", why);
}

// Checks that no page is RAM from last_pfn() on: an image ends there.
absl::Status CheckNoRamBehindEnd(const Context& context, const P2mList& list) {
  const Pfn end = list.p2m_size();
  for (Pfn at = list.last_pfn(); at < end;) {
    const P2mRun run =
        list.RunAt(at, end, P2mView::kResolved, RunMerge::kByClass);
    if (run.word.Class() == P2mClass::kRam) {
      return NotMigratable(
          context,
          absl::StrFormat("pfn 0x%x is RAM, and tools see the list end at pfn "
                          "0x%x, so the page could not go with it; set it "
                          "missing first",
                          at.value(), list.last_pfn().value()));
    }
    at = run.pfns.end();
  }
  return absl::OkStatus();
}

// The lowest free pages that hold nothing, at most `most`.
absl::StatusOr<std::vector<Pfn>> UnwrittenPages(const FreePages& free,
                                                const GuestMemory& memory,
                                                size_t most, StopCheck stop) {
  std::vector<Pfn> pages;
  uint64_t looks = 0;
  for (const auto& [first, end] : free.set().extents()) {
    for (Pfn at = first; at < end; at += PageCount(1)) {
      if (pages.size() == most) return pages;
      if (++looks % kPagesPerStop == 0) SIMVISOR_RETURN_IF_ERROR(stop());
      if (!memory.IsWritten(at)) pages.push_back(at);
    }
  }
  return pages;
}

}  // namespace

absl::Status CheckCanTravel(const Context& context, const Guest& guest) {
  const PfnSet& foreign = guest.foreign();
  const P2mList& list = guest.list();
  if (!foreign.empty()) {
    return NotMigratable(
        context,
        absl::StrFormat("%d words of its p2m list map frames of other domains, "
                        "the first at pfn 0x%x; unmap them first",
                        foreign.size().value(),
                        foreign.extents().begin()->first.value()));
  }
  SIMVISOR_RETURN_IF_ERROR(CheckNoRamBehindEnd(context, list));
  const uint64_t reach = list.abi().max_p2m_pfn();
  if (guest.config().p2m.tools_view == ToolsView::kTree &&
      list.last_pfn().value() > reach) {
    return NotMigratable(
        context,
        absl::StrFormat("its p2m list ends at pfn 0x%x, too large for a p2m "
                        "tree, which reaches 0x%x; create it with the linear "
                        "view",
                        list.last_pfn().value(), reach));
  }
  return absl::OkStatus();
}

absl::Status PlaceRecord(const Context& context, const Guest& guest,
                         const GuestMemory& memory, StopCheck stop,
                         SuspendRecord& record) {
  const P2mList& list = guest.list();
  const bool linear = record.tools.view == ToolsView::kLinear;
  const size_t tables = linear ? 0 : list.abi().page_table_levels;
  const size_t notes_pages =
      (record.notes.size() + SuspendRecord::kNotesPerPage - 1) /
      SuspendRecord::kNotesPerPage;
  const size_t needed = 4 + tables + notes_pages;
  SIMVISOR_ASSIGN_OR_RETURN(
      const std::vector<Pfn> pages,
      UnwrittenPages(guest.free_pages(), memory, needed, stop));
  if (pages.size() < needed) {
    return context.Refuse(
        absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted, "",
        absl::StrFormat("its guest needs %d free pages that hold nothing to "
                        "suspend, and has %d; balloon it up",
                        needed, pages.size()),
        {{fact::kRequested, needed},
         {fact::kAvailable, pages.size()},
         {fact::kUnit, "pages"}});
  }
  auto next = pages.begin();
  record.start_info = *next++;
  record.store = *next++;
  record.console = *next++;
  record.gdt = *next++;
  record.tables.assign(next, next + tables);
  if (linear) record.tables.push_back(list.tools().root_page());
  record.notes_pages.assign(next + tables, pages.end());
  return absl::OkStatus();
}

}  // namespace simvisor
