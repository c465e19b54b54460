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

absl::Status PastTheList(const Context& context, Pfn pfn, Pfn end) {
  return context.Refuse(
      absl::StatusCode::kOutOfRange, Reason::kPfnOutOfRange,
      absl::StrFormat("at pfn 0x%x", pfn.value()),
      absl::StrFormat("the p2m list ends at pfn 0x%x", end.value()));
}

}  // namespace

absl::Status Domain::MapForeign(const Operation& operation,
                                absl::Span<const ForeignSlot> slots,
                                ForeignReport& report) {
  const ChangeLock lock(this);
  const Context context(id_, operation.name);
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kBootedAwake));
  const PageCount structure_before = list_->structure().size();
  PfnSet mapped;
  absl::Status stopped;
  for (size_t i = 0; i < slots.size() && stopped.ok(); ++i) {
    if (i % kSlotsPerCheck == 0) stopped = operation.stop();
    if (!stopped.ok()) break;
    absl::Status status = MapSlot(context, slots[i]);
    if (status.ok()) {
      ++report.done;
      mapped.Add({slots[i].pfn, PageCount(1)});
    } else {
      report.Fail(i, std::move(status));
    }
  }
  if (!mapped.empty()) balloon_.Lend(mapped);
  report.p2m_pages = list_->structure().size() - structure_before;
  return stopped;
}

absl::Status Domain::MapSlot(const Context& context, const ForeignSlot& slot) {
  const auto [pfn, mfn] = slot;
  if (pfn >= list_->p2m_size()) {
    return PastTheList(context, pfn, list_->p2m_size());
  }
  if (const P2mWord word = list_->Lookup(pfn); !word.is_invalid()) {
    return context.Refuse(
        absl::StatusCode::kFailedPrecondition, Reason::kPfnNotMissing,
        absl::StrFormat("mfn 0x%x at pfn 0x%x", mfn.value(), pfn.value()),
        absl::StrFormat(
            "that is %s; choose a missing pfn, or balloon down to make one",
            word.ToString()));
  }
  // A 64-bit word holds more than any machine has.
  if (abi_->arch == Arch::kX86_32Pae &&
      mfn.value() >= abi_->plain_word_limit()) {
    return context.Refuse(
        absl::StatusCode::kOutOfRange, Reason::kMfnNotAddressable,
        absl::StrFormat("mfn 0x%x at pfn 0x%x", mfn.value(), pfn.value()),
        absl::StrFormat("a word of an %s guest holds frame numbers below 0x%x; "
                        "name frames below that",
                        abi_->name, abi_->plain_word_limit()));
  }
  SIMVISOR_RETURN_IF_ERROR(
      NameSlot(context, slot, pool_.CheckForeign(mfn, id_)));
  if (list_->AllocEntries({pfn, PageCount(1)}, free_pages_) == pfn) {
    return context.Refuse(
        absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
        absl::StrFormat("mfn 0x%x at pfn 0x%x", mfn.value(), pfn.value()),
        "its guest has no free page for its p2m list; balloon it up");
  }
  // The frame may have changed hands since it was looked at.
  SIMVISOR_RETURN_IF_ERROR(NameSlot(context, slot, pool_.MapForeign(mfn, id_)));
  list_->TrySet(pfn, P2mWord::Foreign(mfn));
  foreign_.Add({pfn, PageCount(1)});
  return absl::OkStatus();
}

absl::Status Domain::NameSlot(const Context& context, const ForeignSlot& slot,
                              const absl::Status& counted) const {
  if (counted.ok()) return counted;
  const Reason reason = counted.code() == absl::StatusCode::kOutOfRange
                            ? Reason::kMfnOutOfRange
                            : Reason::kFrameNotForeign;
  return context.Refuse(counted.code(), reason,
                        absl::StrFormat("at pfn 0x%x", slot.pfn.value()),
                        counted.message());
}

absl::Status Domain::UnmapForeign(const Operation& operation,
                                  absl::Span<const uint64_t> pfns,
                                  ForeignReport& report,
                                  std::vector<DomainId>* drained) {
  const ChangeLock lock(this);
  const Context context(id_, operation.name);
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kBooted));
  std::vector<Mfn> mfns;
  absl::Status stopped;
  for (size_t i = 0; i < pfns.size() && stopped.ok(); ++i) {
    if (i % kSlotsPerCheck == 0) stopped = operation.stop();
    if (!stopped.ok()) break;
    absl::Status status = UnmapSlot(context, Pfn(pfns[i]), mfns);
    if (status.ok()) {
      ++report.done;
    } else {
      report.Fail(i, std::move(status));
    }
  }
  report.freed = pool_.UnmapForeign(mfns, drained);
  return stopped;
}

absl::Status Domain::UnmapSlot(const Context& context, Pfn pfn,
                               std::vector<Mfn>& mfns) {
  if (pfn >= list_->p2m_size()) {
    return PastTheList(context, pfn, list_->p2m_size());
  }
  const P2mWord word = list_->Lookup(pfn);
  if (word.Class() != P2mClass::kForeign) {
    return context.Refuse(
        absl::StatusCode::kInvalidArgument, Reason::kPfnNotForeign,
        absl::StrFormat("at pfn 0x%x", pfn.value()),
        absl::StrFormat("it is %s; p2m dump --by-frame shows foreign pfns",
                        word.ToString()));
  }
  // A foreign word's leaf is private, so this takes no page.
  list_->TrySet(pfn, P2mWord::Invalid());
  mfns.push_back(Mfn(word.Number()));
  foreign_.Remove({pfn, PageCount(1)});
  balloon_.TakeBack(pfn);
  return absl::OkStatus();
}

absl::Status Domain::CheckNoForeign(const Context& context,
                                    PfnExtent pfns) const {
  if (foreign_.CountIn(pfns) == PageCount(0)) return absl::OkStatus();
  auto at = foreign_.extents().upper_bound(pfns.first);
  const Pfn first = foreign_.Contains(pfns.first) ? pfns.first : at->first;
  return context.Refuse(
      absl::StatusCode::kFailedPrecondition, Reason::kPfnHoldsForeign,
      absl::StrFormat("of [0x%x, 0x%x)", pfns.first.value(),
                      pfns.end().value()),
      absl::StrFormat(
          "pfn 0x%x maps mfn 0x%x of another domain; unmap it first",
          first.value(), list_->Lookup(first).Number()));
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
  balloon_.ForgetLent();
  return freed;
}

}  // namespace simvisor
