// Frames of other domains in a domain's p2m list.
//
// The order of steps keeps a foreign word from ever naming a frame that may be
// somebody else's: the frame is counted as mapped before the word is stored,
// and until after the word is cleared.  Pages for the word's leaf are taken
// before that, so that nothing can fail between the two.  The owner is never
// locked: whether it still has the frame, and what becomes of one that it gives
// back, is settled under the pool's lock.

#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/vm/domain.h"

namespace simvisor {
namespace {

// Slots done between two looks at a StopCheck.
constexpr size_t kSlotsPerCheck = 256;
// Mappings that are given up at once when a domain dies.
constexpr size_t kMaxDropped = 65536;

absl::Status PastTheList(DomainId id, absl::string_view operation, Pfn pfn,
                         Pfn end) {
  return MakeError(
      absl::StatusCode::kOutOfRange, Reason::kPfnOutOfRange,
      absl::StrFormat("domain %d: %s at pfn 0x%x: the p2m list ends at pfn "
                      "0x%x",
                      id.value(), operation, pfn.value(), end.value()));
}

}  // namespace

absl::Status Domain::MapForeign(absl::Span<const ForeignSlot> slots,
                                StopCheck stop, ForeignReport& report) {
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(CheckBooted("map foreign"));
  SIMVISOR_RETURN_IF_ERROR(CheckNotSuspended("map foreign"));
  const PageCount structure_before = list_->structure().size();
  PfnSet mapped;
  absl::Status stopped;
  for (size_t i = 0; i < slots.size() && stopped.ok(); ++i) {
    if (i % kSlotsPerCheck == 0) stopped = stop();
    if (!stopped.ok()) break;
    absl::Status status = MapSlot(slots[i]);
    if (status.ok()) {
      ++report.done;
      mapped.Add({slots[i].pfn, PageCount(1)});
    } else {
      report.Fail(i, std::move(status));
    }
  }
  if (!mapped.empty()) {
    const PfnSet ballooned = balloon_.Remove(mapped);
    for (const auto& [first, end] : ballooned.extents()) {
      foreign_from_balloon_.Add(ExtentBetween(first, end));
    }
    CountBalloon();
  }
  report.p2m_pages = list_->structure().size() - structure_before;
  return stopped;
}

absl::Status Domain::MapSlot(const ForeignSlot& slot) {
  const auto [pfn, mfn] = slot;
  if (pfn >= list_->p2m_size()) {
    return PastTheList(id_, "map foreign", pfn, list_->p2m_size());
  }
  if (const P2mWord word = list_->Lookup(pfn); !word.is_invalid()) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, Reason::kPfnNotMissing,
        absl::StrFormat("domain %d: map foreign mfn 0x%x at pfn 0x%x: that is "
                        "%s; choose a missing pfn, or balloon down to make one",
                        id_.value(), mfn.value(), pfn.value(),
                        word.ToString()));
  }
  // A 64-bit word holds more than any machine has.
  if (abi_->arch == Arch::kX86_32Pae &&
      mfn.value() >= abi_->plain_word_limit()) {
    return MakeError(
        absl::StatusCode::kOutOfRange, Reason::kMfnNotAddressable,
        absl::StrFormat("domain %d: map foreign mfn 0x%x at pfn 0x%x: a word "
                        "of an %s guest holds frame numbers below 0x%x; name "
                        "frames below that",
                        id_.value(), mfn.value(), pfn.value(), abi_->name,
                        abi_->plain_word_limit()));
  }
  SIMVISOR_RETURN_IF_ERROR(NameSlot(slot, pool_.CheckForeign(mfn, id_)));
  if (list_->AllocEntries({pfn, PageCount(1)}, free_pages_) == pfn) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
        absl::StrFormat("domain %d: map foreign mfn 0x%x at pfn 0x%x: its "
                        "guest has no free page for its p2m list; balloon it "
                        "up",
                        id_.value(), mfn.value(), pfn.value()));
  }
  // The frame may have changed hands since it was looked at.
  SIMVISOR_RETURN_IF_ERROR(NameSlot(slot, pool_.MapForeign(mfn, id_)));
  list_->TrySet(pfn, P2mWord::Foreign(mfn));
  foreign_.Add({pfn, PageCount(1)});
  return absl::OkStatus();
}

absl::Status Domain::NameSlot(const ForeignSlot& slot,
                              const absl::Status& counted) const {
  if (counted.ok()) return counted;
  const Reason reason = counted.code() == absl::StatusCode::kOutOfRange
                            ? Reason::kMfnOutOfRange
                            : Reason::kFrameNotForeign;
  return MakeError(
      counted.code(), reason,
      absl::StrFormat("domain %d: map foreign at pfn 0x%x: %s", id_.value(),
                      slot.pfn.value(), counted.message()));
}

absl::Status Domain::UnmapForeign(absl::Span<const uint64_t> pfns,
                                  StopCheck stop, ForeignReport& report,
                                  std::vector<DomainId>* drained) {
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(CheckBooted("unmap foreign"));
  std::vector<Mfn> mfns;
  absl::Status stopped;
  for (size_t i = 0; i < pfns.size() && stopped.ok(); ++i) {
    if (i % kSlotsPerCheck == 0) stopped = stop();
    if (!stopped.ok()) break;
    absl::Status status = UnmapSlot(Pfn(pfns[i]), mfns);
    if (status.ok()) {
      ++report.done;
    } else {
      report.Fail(i, std::move(status));
    }
  }
  CountBalloon();
  report.freed = pool_.UnmapForeign(mfns, drained);
  return stopped;
}

absl::Status Domain::UnmapSlot(Pfn pfn, std::vector<Mfn>& mfns) {
  if (pfn >= list_->p2m_size()) {
    return PastTheList(id_, "unmap foreign", pfn, list_->p2m_size());
  }
  const P2mWord word = list_->Lookup(pfn);
  if (word.Class() != P2mClass::kForeign) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kPfnNotForeign,
        absl::StrFormat("domain %d: unmap foreign at pfn 0x%x: it is %s; p2m "
                        "dump --by-frame shows foreign pfns",
                        id_.value(), pfn.value(), word.ToString()));
  }
  // A foreign word's leaf is private, so this takes no page.
  list_->TrySet(pfn, P2mWord::Invalid());
  mfns.push_back(Mfn(word.Number()));
  const PfnExtent page = {pfn, PageCount(1)};
  foreign_.Remove(page);
  if (foreign_from_balloon_.Contains(pfn)) {
    foreign_from_balloon_.Remove(page);
    balloon_.Push(page);
  }
  return absl::OkStatus();
}

absl::Status Domain::CheckNoForeign(absl::string_view operation,
                                    PfnExtent pfns) const {
  if (foreign_.CountIn(pfns) == PageCount(0)) return absl::OkStatus();
  auto at = foreign_.extents().upper_bound(pfns.first);
  const Pfn first = foreign_.Contains(pfns.first) ? pfns.first : at->first;
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kPfnHoldsForeign,
      absl::StrFormat("domain %d: %s of [0x%x, 0x%x): pfn 0x%x maps mfn 0x%x "
                      "of another domain; unmap it first",
                      id_.value(), operation, pfns.first.value(),
                      pfns.end().value(), first.value(),
                      list_->Lookup(first).Number()));
}

PageCount Domain::DropForeign(std::vector<DomainId>* drained) {
  PageCount freed;
  std::vector<Mfn> mfns;
  for (const auto& [first, end] : foreign_.extents()) {
    for (Pfn at = first; at < end; at += PageCount(1)) {
      mfns.push_back(Mfn(list_->Lookup(at).Number()));
      if (mfns.size() < kMaxDropped) continue;
      freed += pool_.UnmapForeign(mfns, drained);
      mfns.clear();
    }
  }
  freed += pool_.UnmapForeign(mfns, drained);
  foreign_.Clear();
  foreign_from_balloon_.Clear();
  return freed;
}

}  // namespace simvisor
