// Foreign frames in a domain's p2m list, slot by slot.

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "domain/vm/domain.h"
#include "domain/vm/domain_p2m.h"

namespace simvisor {
namespace {

// Slots done between two calls of a StopCheck.
constexpr size_t kSlotsPerCheck = 256;

Pfn PfnOf(const ForeignSlot& slot) { return slot.pfn; }
Pfn PfnOf(uint64_t pfn) { return Pfn(pfn); }

// Claims the pfns of the slots that the list has words for.
template <typename Slot>
absl::Status ClaimSlots(ChangeScope& change, absl::Span<const Slot> slots) {
  if (!change.waits().active()) return absl::OkStatus();
  PfnClaims::What what;
  const Pfn end = change.parts().memory.words().size();
  for (const Slot& slot : slots) {
    if (PfnOf(slot) < end) what.pfns.Add({PfnOf(slot), PageCount(1)});
  }
  return change.waits().Claim(std::move(what));
}

// Tells of those of `pfns` that map foreign frames.
absl::Status TellOfForeign(ChangeScope& change,
                           absl::Span<const uint64_t> pfns) {
  if (!change.waits().active()) return absl::OkStatus();
  PfnSet foreign;
  for (const uint64_t pfn : pfns) {
    if (!change.parts().guest()->foreign().Contains(Pfn(pfn))) continue;
    foreign.Add({Pfn(pfn), PageCount(1)});
  }
  return change.waits().Tell(foreign, InvalidateReason::kUnmap);
}

// Maps slots, of which the first is number `first` of the call, and adds the
// pfns that are mapped now to `mapped`.
void MapSlots(ChangeScope& change, absl::Span<const ForeignSlot> slots,
              size_t first, PfnSet& mapped, ForeignReport& report) {
  Guest& guest = *change.parts().guest();
  for (size_t i = 0; i < slots.size(); ++i) {
    absl::Status status = guest.MapForeign(change.context(), slots[i], change);
    if (status.ok()) {
      ++report.done;
      mapped.Add({slots[i].pfn, PageCount(1)});
    } else {
      report.Fail(first + i, std::move(status));
    }
  }
}

}  // namespace

absl::Status DomainP2m::MapForeign(const Operation& operation,
                                   absl::Span<const ForeignSlot> slots,
                                   ForeignReport& report) const {
  return domain_.Change(
      operation, Needs::kBootedNotSuspended,
      [&](ChangeScope& change) -> absl::Status {
        Guest& guest = *change.parts().guest();
        PfnSet mapped;
        const auto lend = [&] {
          if (!mapped.empty()) guest.balloon().Lend(mapped);
          mapped.Clear();
        };
        absl::Status stopped;
        for (size_t i = 0; i < slots.size(); i += kSlotsPerCheck) {
          stopped = change.Preempted();
          // What is mapped must be whole before a wait.
          if (change.waits().active()) lend();
          const auto part = slots.subspan(i, kSlotsPerCheck);
          if (stopped.ok()) stopped = ClaimSlots(change, part);
          if (!stopped.ok()) break;
          const PageCount pages_before = guest.list().structure().size();
          MapSlots(change, part, i, mapped, report);
          report.p2m_pages += guest.list().structure().size() - pages_before;
        }
        lend();
        return stopped;
      });
}

absl::Status DomainP2m::UnmapForeign(const Operation& operation,
                                     absl::Span<const uint64_t> pfns,
                                     ForeignReport& report,
                                     std::vector<DomainId>* drained) const {
  return domain_.Change(
      operation, Needs::kBooted, [&](ChangeScope& change) -> absl::Status {
        SIMVISOR_RETURN_IF_ERROR(ClaimSlots(change, pfns));
        SIMVISOR_RETURN_IF_ERROR(TellOfForeign(change, pfns));
        std::vector<Mfn> mfns;
        absl::Status stopped;
        for (size_t i = 0; i < pfns.size(); ++i) {
          if (i % kSlotsPerCheck == 0) stopped = change.Preempted();
          if (!stopped.ok()) break;
          absl::Status status = change.parts().guest()->UnmapForeign(
              change.permit(), change.context(), Pfn(pfns[i]), mfns);
          if (status.ok()) {
            ++report.done;
          } else {
            report.Fail(i, std::move(status));
          }
        }
        report.freed = change.UnmapForeign(mfns);
        drained->insert(drained->end(), change.drained().begin(),
                        change.drained().end());
        return stopped;
      });
}

}  // namespace simvisor
