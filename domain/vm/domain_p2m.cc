// The p2m list of a domain, as callers see and change it.

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/vm/domain.h"

namespace simvisor {

absl::StatusOr<RangeChange> Domain::MarkIdentity(const Operation& operation,
                                                 Pfn start, Pfn end,
                                                 bool release_ram) {
  const ChangeLock lock(this);
  const Context context(id_, operation.name);
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kAwakeOwnKernel));
  SIMVISOR_ASSIGN_OR_RETURN(const PfnExtent pfns,
                            IdentityRange(context, start, end));
  if (pfns.empty()) return RangeChange{};
  const RamPolicy policy =
      release_ram ? RamPolicy::kRelease : RamPolicy::kRefuse;
  SIMVISOR_ASSIGN_OR_RETURN(
      const Overwritten under,
      CheckOverwrite(context, pfns, policy, operation.stop));
  const P2mList::RangeFill fill = P2mList::RangeFill::Identity();
  // Before boot, the guest must keep what it needs to boot; afterwards the set
  // path may take pages.
  const PageCount needed =
      life_.built() ? PagesStillToBoot() : list_->PagesToSet(pfns, fill);
  SIMVISOR_RETURN_IF_ERROR(CheckGuestPages(context, pfns, needed));
  return CommitRange(context, pfns, fill, under, policy);
}

PageCount Domain::PagesStillToBoot() const {
  const PageCount known = boot_pages_ - structure().size();
  // On PAE private leaves reuse the builder's pages.  If marks make the last
  // one shared, the room to balloon behind it splits it again, for a page of
  // its own.
  const bool last_leaf_straddles =
      spec_.memory.value() % abi_->leaf_span() != 0;
  const bool pae = abi_->arch == Arch::kX86_32Pae;
  return known + PageCount(pae && last_leaf_straddles ? 1 : 0);
}

absl::StatusOr<PfnExtent> Domain::IdentityRange(const Context& context,
                                                Pfn start, Pfn end) const {
  const Pfn list_end = words_->size();
  if (start > end) {
    return context.Refuse(
        absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
        absl::StrFormat("[0x%x, 0x%x)", start.value(), end.value()),
        "the range ends before it starts; swap the ends");
  }
  if (life_.built()) {
    return ExtentBetween(start, std::min(end, list_end));
  }
  if (end.is_none()) end = std::max(start, list_end);
  if (end > list_end) {
    return context.Refuse(
        absl::StatusCode::kOutOfRange, Reason::kPfnOutOfRange,
        absl::StrFormat("[0x%x, 0x%x)", start.value(), end.value()),
        absl::StrFormat("the p2m area ends at pfn 0x%x; what lies behind is "
                        "identity anyway",
                        list_end.value()));
  }
  return ExtentBetween(start, end);
}

absl::StatusOr<RangeChange> Domain::SetRange(const Operation& operation,
                                             PfnExtent pfns, P2mClass p2m_class,
                                             Mfn first_mfn, RamPolicy policy) {
  const ChangeLock lock(this);
  const Context context(id_, operation.name);
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kBootedAwake));
  if (pfns.empty()) {
    return context.Refuse(
        absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
        absl::StrFormat("of 0 pfns at 0x%x; name at least one",
                        pfns.first.value()),
        "");
  }
  if (!FitsWithin(pfns.first, pfns.count, words_->size())) {
    return context.Refuse(
        absl::StatusCode::kOutOfRange, Reason::kPfnOutOfRange,
        absl::StrFormat("of %d pfns from 0x%x", pfns.count.value(),
                        pfns.first.value()),
        absl::StrFormat("the p2m area ends at pfn 0x%x",
                        words_->size().value()));
  }
  SIMVISOR_ASSIGN_OR_RETURN(
      const Overwritten under,
      CheckOverwrite(context, pfns, policy, operation.stop));
  if (p2m_class == P2mClass::kRam) {
    SIMVISOR_RETURN_IF_ERROR(CheckNewFrames(context, pfns, first_mfn));
  }
  const P2mList::RangeFill fill = {p2m_class, first_mfn};
  SIMVISOR_RETURN_IF_ERROR(
      CheckGuestPages(context, pfns, list_->PagesToSet(pfns, fill)));
  return CommitRange(context, pfns, fill, under, policy);
}

absl::StatusOr<Domain::Overwritten> Domain::CheckOverwrite(
    const Context& context, PfnExtent pfns, RamPolicy policy,
    StopCheck stop) const {
  if (structure().Intersects(pfns)) {
    return context.Refuse(
        absl::StatusCode::kFailedPrecondition, Reason::kPageInUseByKernel,
        absl::StrFormat("of [0x%x, 0x%x)", pfns.first.value(),
                        pfns.end().value()),
        "pages of the guest's own p2m list lie there; choose a range without "
        "them (p2m stat tells how many there are)");
  }
  if (HoldsPageTables(pfns)) {
    return context.Refuse(
        absl::StatusCode::kFailedPrecondition, Reason::kPageInUseByKernel,
        absl::StrFormat("of [0x%x, 0x%x)", pfns.first.value(),
                        pfns.end().value()),
        "page tables of the guest's processes lie there; choose a range "
        "without them, or destroy these address spaces");
  }
  SIMVISOR_RETURN_IF_ERROR(CheckNoLoad(context, pfns));
  SIMVISOR_RETURN_IF_ERROR(CheckNoForeign(context, pfns));
  Overwritten under;
  for (Pfn at = pfns.first; at < pfns.end();) {
    SIMVISOR_RETURN_IF_ERROR(stop());
    at = words_->CollectFrames(ExtentBetween(at, pfns.end()), kMaxRuns,
                               under.frames);
    if (policy == RamPolicy::kRefuse && !under.frames.empty()) {
      return context.Refuse(
          absl::StatusCode::kFailedPrecondition, Reason::kPfnHoldsRam,
          absl::StrFormat("of [0x%x, 0x%x)", pfns.first.value(),
                          pfns.end().value()),
          absl::StrFormat("RAM lies there, the first at mfn 0x%x; ask to "
                          "release the frames, or balloon them out first",
                          under.frames.front().first.value()));
    }
  }
  for (const MfnExtent& frames : under.frames) under.ram += frames.count;
  return under;
}

absl::Status Domain::CheckGuestPages(const Context& context, PfnExtent pfns,
                                     PageCount needed) const {
  const PageCount left = free_pages_.count() - free_pages_.set().CountIn(pfns);
  if (needed <= left) return absl::OkStatus();
  return context.Refuse(
      absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
      absl::StrFormat("of [0x%x, 0x%x)", pfns.first.value(),
                      pfns.end().value()),
      absl::StrFormat("the guest needs %d pages for its p2m list and would "
                      "have %d free; balloon it up or choose a smaller range",
                      needed.value(), left.value()));
}

absl::Status Domain::CheckNewFrames(const Context& context, PfnExtent pfns,
                                    Mfn first_mfn) const {
  const MfnExtent frames = {first_mfn, pfns.count};
  // A 64-bit word holds more than any machine has.
  if (abi_->arch == Arch::kX86_32Pae &&
      !FitsWithin(first_mfn, pfns.count, Mfn(abi_->plain_word_limit()))) {
    return context.Refuse(
        absl::StatusCode::kOutOfRange, Reason::kMfnNotAddressable,
        absl::StrFormat("of pfn 0x%x to %d frames from mfn 0x%x",
                        pfns.first.value(), pfns.count.value(),
                        first_mfn.value()),
        absl::StrFormat("a word of an %s guest holds frame numbers below 0x%x; "
                        "name frames below that",
                        abi_->name, abi_->plain_word_limit()));
  }
  if (!FitsWithin(first_mfn, pfns.count, pool_.max_mfn())) {
    return context.Refuse(
        absl::StatusCode::kOutOfRange, Reason::kMfnOutOfRange,
        absl::StrFormat("of pfn 0x%x to %d frames from mfn 0x%x",
                        pfns.first.value(), pfns.count.value(),
                        first_mfn.value()),
        absl::StrFormat("the machine ends at mfn 0x%x",
                        pool_.max_mfn().value()));
  }
  if (unmapped_frames_.CountIn(frames) == frames.count) return absl::OkStatus();
  Mfn mfn = first_mfn;
  while (unmapped_frames_.Contains(mfn)) mfn += PageCount(1);
  const FrameRun run = pool_.Lookup(mfn);
  if (run.state != FrameState::kOwned || run.owner != id_) {
    return context.Refuse(
        absl::StatusCode::kFailedPrecondition, Reason::kFrameNotOwned,
        absl::StrFormat("of pfn 0x%x", pfns.first.value()),
        absl::StrFormat("mfn 0x%x is not the domain's; see frames lookup",
                        mfn.value()));
  }
  if (run.first_pfn.is_none()) {
    return context.Refuse(
        absl::StatusCode::kFailedPrecondition, Reason::kFrameNotOwned,
        absl::StrFormat("of pfn 0x%x", pfns.first.value()),
        absl::StrFormat("mfn 0x%x has been given back, and is there for other "
                        "domains' mappings of it alone",
                        mfn.value()));
  }
  return context.Refuse(absl::StatusCode::kFailedPrecondition,
                        Reason::kFrameInUse,
                        absl::StrFormat("of pfn 0x%x", pfns.first.value()),
                        absl::StrFormat("mfn 0x%x is at pfn 0x%x; take it out "
                                        "of that word first, keeping the frame",
                                        mfn.value(), run.first_pfn.value()));
}

absl::Status Domain::PrepareRange(const Context& context, PfnExtent pfns,
                                  const P2mList::RangeFill& fill) {
  // Pages that are about to be overwritten must not become part of the list.
  const std::vector<PfnExtent> held = free_pages_.RemoveWithin(pfns);
  const absl::Status status = list_->PrepareRange(pfns, fill, free_pages_);
  if (status.ok()) return status;
  for (const PfnExtent& pages : held) free_pages_.Return(pages);
  return context.As("set p2m").Refuse(
      status.code(), Reason::kGuestMemoryExhausted,
      absl::StrFormat("of [0x%x, 0x%x)", pfns.first.value(),
                      pfns.end().value()),
      absl::StrFormat(
          "%s; no word has changed, and what was taken serves the next try",
          status.message()));
}

absl::StatusOr<RangeChange> Domain::CommitRange(const Context& context,
                                                PfnExtent pfns,
                                                const P2mList::RangeFill& fill,
                                                const Overwritten& under,
                                                RamPolicy policy) {
  const PageCount structure_before = structure().size();
  if (life_.built()) {
    free_pages_.Remove(pfns);
    built_->MarkIdentity(pfns.first, pfns.end());
  } else {
    SIMVISOR_RETURN_IF_ERROR(PrepareRange(context, pfns, fill));
    SIMVISOR_RETURN_IF_ERROR(list_->SetRange(pfns, fill, free_pages_));
  }
  dirty_.Mark(pfns);
  RangeChange change;
  change.marked = pfns.count;
  change.p2m_pages = structure().size() - structure_before;
  if (policy == RamPolicy::kRelease) {
    const PageCount before = reservation_.current();
    for (absl::Span<const MfnExtent> rest = under.frames; !rest.empty();
         rest.remove_prefix(std::min(rest.size(), kMaxRuns))) {
      change.released += FreeFrames(rest.subspan(0, kMaxRuns));
    }
    FollowRelease(before);
  } else {
    for (const MfnExtent& frames : under.frames) {
      pool_.SetPfns(frames, Pfn::None());
      unmapped_frames_.Add(frames);
    }
  }
  if (fill.p2m_class != P2mClass::kMissing) {
    balloon_.list().Remove(pfns);
  }
  if (fill.p2m_class == P2mClass::kRam) {
    const MfnExtent frames = {fill.first_mfn, pfns.count};
    pool_.SetPfns(frames, pfns.first);
    unmapped_frames_.Remove(frames);
    free_pages_.Return(
        ExtentBetween(std::max(pfns.first, Pfn(kKernelLowPages.value())),
                      std::max(pfns.end(), Pfn(kKernelLowPages.value()))));
  }
  return change;
}

absl::Status Domain::Translate(absl::Span<const uint64_t> pfns,
                               std::vector<P2mWord>& words) const {
  words.reserve(words.size() + pfns.size());
  if (booted_.load(std::memory_order_acquire) && !end_.dying()) {
    const P2mWords::Reader reader(*words_);
    for (const uint64_t pfn : pfns) words.push_back(reader.Lookup(Pfn(pfn)));
    return absl::OkStatus();
  }
  absl::ReaderMutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(Check({id_, "translate"}, Needs::kAlive));
  for (const uint64_t pfn : pfns) words.push_back(words_->Lookup(Pfn(pfn)));
  return absl::OkStatus();
}

absl::Status Domain::TranslateMfns(absl::Span<const uint64_t> mfns,
                                   std::vector<MfnTranslation>& answers) const {
  answers.reserve(answers.size() + mfns.size());
  const auto translate = [&] {
    for (const uint64_t mfn : mfns) {
      const Pfn candidate = pool_.Lookup(Mfn(mfn)).first_pfn;
      answers.push_back(MfnToPfn(*words_, Mfn(mfn), candidate));
    }
    return absl::OkStatus();
  };
  // A guest takes no lock for this either.
  if (booted_.load(std::memory_order_acquire) && !end_.dying()) {
    return translate();
  }
  absl::ReaderMutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(Check({id_, "translate mfns"}, Needs::kAlive));
  return translate();
}

absl::StatusOr<Pfn> Domain::ListRuns(Pfn start, Pfn end, P2mView view,
                                     RunMerge merge, size_t max_runs,
                                     std::vector<P2mRun>& runs,
                                     uint64_t* generation) const {
  const Context context(id_, "list p2m");
  absl::ReaderMutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kAlive));
  if (start > end) {
    return context.Refuse(
        absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
        absl::StrFormat("of [0x%x, 0x%x)", start.value(), end.value()),
        "the range ends before it starts; swap the ends");
  }
  if (start >= words_->size()) {
    return context.Refuse(
        absl::StatusCode::kOutOfRange, Reason::kPfnOutOfRange,
        absl::StrFormat("from pfn 0x%x on", start.value()),
        absl::StrFormat("the list ends at pfn 0x%x", words_->size().value()));
  }
  end = std::min(end, words_->size());
  *generation = words_->generation();
  for (size_t n = 0; n < max_runs && start < end; ++n) {
    // In the builder's list every word has a place of its own.
    runs.push_back(list_ != nullptr ? list_->RunAt(start, end, view, merge)
                                    : words_->RunAt(start, end, merge));
    start = runs.back().pfns.end();
  }
  return start;
}

absl::StatusOr<P2mReport> Domain::Summary() const {
  absl::ReaderMutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(Check({id_, "p2m summary"}, Needs::kAlive));
  P2mReport report;
  report.summary = list_ != nullptr     ? list_->Summary()
                   : built_.has_value() ? built_->Summary()
                                        : CountWords(*words_);
  report.remapped = remapped_;
  report.released = released_;
  return report;
}

absl::StatusOr<MfnListList> Domain::FindMfnListList() const {
  const Context context(id_, "find the p2m list");
  absl::ReaderMutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kBooted));
  const absl::StatusOr<ToolsRoot> root = list_->FindToolsRoot();
  if (!root.ok()) {
    return context.Refuse(root.status().code(), Reason::kP2mTreeStale, "",
                          root.status().message());
  }
  MfnListList found;
  found.root = *root;
  found.max_pfn = list_->last_pfn();
  found.abi = abi_;
  found.generation = words_->generation();
  return found;
}

}  // namespace simvisor
