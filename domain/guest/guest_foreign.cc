// Frames of other domains in a guest's p2m list.
//
// The order of steps keeps a foreign word from ever naming a frame that may
// have another owner by now: the hypervisor counts the mapping before the word
// is stored, and until after the word is cleared.  Pages for the word's leaf
// are taken before the count, so that nothing can fail between count and store.
// The owner is never locked: the hypervisor knows whether the owner still has
// the frame, and keeps a mapped frame that the owner gives back.

#include <cstddef>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/guest/guest.h"

namespace simvisor {
namespace {

// Mappings that a dying domain gives up in one hypercall.
constexpr size_t kMaxDropped = 65536;

absl::Status PastTheList(const Context& context, Pfn pfn, Pfn end) {
  return context.Refuse(
      absl::StatusCode::kOutOfRange, Reason::kPfnOutOfRange,
      absl::StrFormat("at pfn 0x%x", pfn.value()),
      absl::StrFormat("the p2m list ends at pfn 0x%x", end.value()),
      {{fact::kValue, Hex(pfn.value())}, {fact::kLimit, Hex(end.value())}});
}

// The hypervisor's status for the slot's frame, with the slot in the message.
absl::Status NameSlot(const Context& context, const ForeignSlot& slot,
                      const absl::Status& counted) {
  if (counted.ok()) return counted;
  const Reason reason = counted.code() == absl::StatusCode::kOutOfRange
                            ? Reason::kMfnOutOfRange
                            : Reason::kFrameNotForeign;
  absl::Status status = context.Refuse(
      counted.code(), reason, absl::StrFormat("at pfn 0x%x", slot.pfn.value()),
      counted.message());
  for (const auto& [name, value] : FactsOf(counted)) {
    SetFact({name, value}, status);
  }
  return status;
}

}  // namespace

absl::Status Guest::CheckSlot(const Context& context,
                              const ForeignSlot& slot) const {
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
            word.ToString()),
        {{fact::kValue, Hex(pfn.value())}});
  }
  // A 64-bit word holds more than any machine has.
  if (abi().arch != Arch::kX86_32Pae ||
      mfn.value() < abi().plain_word_limit()) {
    return absl::OkStatus();
  }
  return context.Refuse(
      absl::StatusCode::kOutOfRange, Reason::kMfnNotAddressable,
      absl::StrFormat("mfn 0x%x at pfn 0x%x", mfn.value(), pfn.value()),
      absl::StrFormat("a word of an %s guest holds frame numbers below 0x%x; "
                      "name frames below that",
                      abi().name, abi().plain_word_limit()),
      {{fact::kValue, Hex(mfn.value())},
       {fact::kLimit, Hex(abi().plain_word_limit())}});
}

absl::Status Guest::MapForeign(const Context& context, const ForeignSlot& slot,
                               Hypercalls& hypercalls) {
  SIMVISOR_RETURN_IF_ERROR(CheckSlot(context, slot));
  const auto [pfn, mfn] = slot;
  SIMVISOR_RETURN_IF_ERROR(
      NameSlot(context, slot, hypercalls.CheckForeign(mfn)));
  const PfnExtent page = {pfn, PageCount(1)};
  if (list_->AllocEntries(page, free_pages_) == pfn) {
    return context.Refuse(
        absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
        absl::StrFormat("mfn 0x%x at pfn 0x%x", mfn.value(), pfn.value()),
        "its guest has no free page for its p2m list; balloon it up",
        {{fact::kRequested, 1}, {fact::kAvailable, 0}, {fact::kUnit, "pages"}});
  }
  // The frame may have changed hands since it was looked at.
  SIMVISOR_RETURN_IF_ERROR(NameSlot(context, slot, hypercalls.MapForeign(mfn)));
  list_->TrySet(hypercalls.permit(), pfn, P2mWord::Foreign(mfn));
  foreign_.Add(page);
  return absl::OkStatus();
}

absl::Status Guest::UnmapForeign(const ChangePermit& permit,
                                 const Context& context, Pfn pfn,
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
                        word.ToString()),
        {{fact::kValue, Hex(pfn.value())}});
  }
  // A foreign word's leaf is private, so this takes no page.
  list_->TrySet(permit, pfn, P2mWord::Invalid());
  mfns.push_back(Mfn(word.Number()));
  foreign_.Remove({pfn, PageCount(1)});
  balloon_.TakeBack(pfn);
  return absl::OkStatus();
}

PageCount Guest::DropForeign(Hypercalls& hypercalls) {
  PageCount freed;
  std::vector<Mfn> mfns;
  for (const auto& [first, end] : foreign_.extents()) {
    for (Pfn at = first; at < end; at += PageCount(1)) {
      mfns.push_back(Mfn(list_->Lookup(at).Number()));
      if (mfns.size() < kMaxDropped) continue;
      freed += hypercalls.UnmapForeign(mfns);
      mfns.clear();
    }
  }
  freed += hypercalls.UnmapForeign(mfns);
  foreign_.Clear();
  balloon_.ForgetLent();
  return freed;
}

}  // namespace simvisor
