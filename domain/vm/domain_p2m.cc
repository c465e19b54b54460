#include "domain/vm/domain_p2m.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/guest/range_frames.h"
#include "domain/vm/domain.h"

namespace simvisor {
namespace {

absl::Status EndsBeforeStart(const Context& context,
                             const std::string& details) {
  return context.Refuse(absl::StatusCode::kInvalidArgument,
                        Reason::kRangeInvalid, details,
                        "the range ends before it starts; swap the ends");
}

// The part of [start, end) that the domain has words for.
absl::StatusOr<PfnExtent> IdentityRange(ChangeScope& change, Pfn start,
                                        Pfn end) {
  const Context& context = change.context();
  const Pfn list_end = change.parts().memory.words().size();
  if (start > end) {
    return EndsBeforeStart(
        context, absl::StrFormat("[0x%x, 0x%x)", start.value(), end.value()));
  }
  if (change.parts().guest() == nullptr) {
    return ExtentBetween(start, std::min(end, list_end));
  }
  if (end.is_none()) end = std::max(start, list_end);
  if (end <= list_end) return ExtentBetween(start, end);
  return context.Refuse(
      absl::StatusCode::kOutOfRange, Reason::kPfnOutOfRange,
      absl::StrFormat("[0x%x, 0x%x)", start.value(), end.value()),
      absl::StrFormat("the p2m area ends at pfn 0x%x; what lies behind is "
                      "identity anyway",
                      list_end.value()),
      {{fact::kValue, Hex(end.value())},
       {fact::kLimit, Hex(list_end.value())}});
}

// Lowers the target by the frames that a change of words gave back, so that the
// balloon driver does not ask for them again.
RangeChange FollowRelease(ChangeScope& change, PageCount before,
                          const RangeChange& done) {
  Reservation& reservation = change.parts().reservation;
  reservation.TargetDropsBy(before - reservation.current(), before);
  return done;
}

// The pfns of `pfns` whose words name frames.
PfnSet FramedIn(const P2mWords& words, PfnExtent pfns) {
  PfnSet framed;
  const Pfn end = std::min(pfns.end(), words.size());
  for (Pfn at = pfns.first; at < end;) {
    const P2mRun run = words.RunAt(at, end, RunMerge::kByClass);
    const P2mClass found = run.word.Class();
    if (found == P2mClass::kRam || found == P2mClass::kForeign) {
      framed.Add(run.pfns);
    }
    at = run.pfns.end();
  }
  return framed;
}

absl::Status ClaimPfns(ChangeScope& change, PfnExtent pfns) {
  if (!change.waits().active()) return absl::OkStatus();
  PfnClaims::What what;
  what.pfns.Add(pfns);
  return change.waits().Claim(std::move(what));
}

absl::Status TellOf(ChangeScope& change, PfnExtent pfns,
                    InvalidateReason reason) {
  if (!change.waits().active()) return absl::OkStatus();
  return change.waits().Tell(FramedIn(change.parts().memory.words(), pfns),
                             reason);
}

absl::StatusOr<RangeChange> MarkBuilt(ChangeScope& change, PfnExtent pfns,
                                      RamPolicy policy) {
  const Context& context = change.context();
  Parts& on = change.parts();
  SIMVISOR_RETURN_IF_ERROR(on.CheckBuilt(context));
  SIMVISOR_RETURN_IF_ERROR(CheckNoKernelPages(context, pfns, on.memory));
  SIMVISOR_ASSIGN_OR_RETURN(
      const std::vector<MfnExtent> frames,
      FramesUnder(context, pfns, policy, on.memory, change));
  SIMVISOR_RETURN_IF_ERROR(TellOf(change, pfns, InvalidateReason::kUnmap));
  const PageCount before = on.reservation.current();
  SIMVISOR_ASSIGN_OR_RETURN(
      const RangeChange done,
      on.built()->MarkIdentity(context, pfns, frames, policy, on.memory,
                               change));
  return FollowRelease(change, before, done);
}

absl::Status RefuseFrames(const Context& context, absl::StatusCode code,
                          Reason reason, PfnExtent pfns, Mfn first_mfn,
                          const std::string& text) {
  return context.Refuse(
      code, reason,
      absl::StrFormat("of pfn 0x%x to %d frames from mfn 0x%x",
                      pfns.first.value(), pfns.count.value(),
                      first_mfn.value()),
      text, {{fact::kValue, Hex(first_mfn.value())}});
}

// Checks that the frames that words of `pfns` are to name, from `mfn` on, are
// the domain's and in no word.
absl::Status CheckUnplaced(ChangeScope& change, PfnExtent pfns, Mfn mfn) {
  const MfnSet& unplaced = change.parts().memory.unplaced();
  if (unplaced.CountIn({mfn, pfns.count}) == pfns.count) {
    return absl::OkStatus();
  }
  while (unplaced.Contains(mfn)) mfn += PageCount(1);
  const FrameRun run = change.pool().Lookup(mfn);
  const Context& context = change.context();
  const std::string of_pfn = absl::StrFormat("of pfn 0x%x", pfns.first.value());
  if (run.state != FrameState::kOwned || run.owner != context.id()) {
    return context.Refuse(
        absl::StatusCode::kFailedPrecondition, Reason::kFrameNotOwned, of_pfn,
        absl::StrFormat("mfn 0x%x is not the domain's; see frames lookup",
                        mfn.value()),
        {{fact::kValue, Hex(mfn.value())}});
  }
  if (run.first_pfn.is_none()) {
    return context.Refuse(
        absl::StatusCode::kFailedPrecondition, Reason::kFrameNotOwned, of_pfn,
        absl::StrFormat("mfn 0x%x has been given back, and is only kept for "
                        "other domains' mappings",
                        mfn.value()),
        {{fact::kValue, Hex(mfn.value())}});
  }
  return context.Refuse(absl::StatusCode::kFailedPrecondition,
                        Reason::kFrameInUse, of_pfn,
                        absl::StrFormat("mfn 0x%x is at pfn 0x%x; take it out "
                                        "of that word first, keeping the frame",
                                        mfn.value(), run.first_pfn.value()),
                        {{fact::kValue, Hex(mfn.value())}});
}

absl::Status CheckNewFrames(ChangeScope& change, PfnExtent pfns,
                            Mfn first_mfn) {
  const Abi& abi = change.parts().memory.words().abi();
  // A 64-bit word holds more than any machine has.
  if (abi.arch == Arch::kX86_32Pae &&
      !FitsWithin(first_mfn, pfns.count, Mfn(abi.plain_word_limit()))) {
    return RefuseFrames(
        change.context(), absl::StatusCode::kOutOfRange,
        Reason::kMfnNotAddressable, pfns, first_mfn,
        absl::StrFormat("a word of an %s guest holds frame numbers below 0x%x; "
                        "name frames below that",
                        abi.name, abi.plain_word_limit()));
  }
  const Mfn end = change.pool().max_mfn();
  if (!FitsWithin(first_mfn, pfns.count, end)) {
    return RefuseFrames(
        change.context(), absl::StatusCode::kOutOfRange, Reason::kMfnOutOfRange,
        pfns, first_mfn,
        absl::StrFormat("the machine ends at mfn 0x%x", end.value()));
  }
  return CheckUnplaced(change, pfns, first_mfn);
}

absl::Status CheckFill(ChangeScope& change, PfnExtent pfns,
                       const RangeFill& fill) {
  return fill.p2m_class == P2mClass::kRam
             ? CheckNewFrames(change, pfns, fill.first_mfn)
             : absl::OkStatus();
}

absl::StatusOr<RangeChange> SetGuestRange(ChangeScope& change, PfnExtent pfns,
                                          const RangeFill& fill,
                                          RamPolicy policy) {
  const Context& context = change.context();
  Guest& guest = *change.parts().guest();
  SIMVISOR_ASSIGN_OR_RETURN(
      Guest::RangePlan plan,
      guest.PlanRange(context, pfns, fill, policy, change));
  SIMVISOR_RETURN_IF_ERROR(CheckFill(change, pfns, fill));
  SIMVISOR_RETURN_IF_ERROR(guest.PrepareRange(context, plan));
  absl::Status told =
      TellOf(change, pfns,
             fill.p2m_class == P2mClass::kRam ? InvalidateReason::kReplace
                                              : InvalidateReason::kUnmap);
  // Frames in no word belong to no claim, so another change may have used them.
  if (told.ok() && change.waits().active()) {
    told = CheckFill(change, pfns, fill);
    if (!told.ok()) change.waits().AbortTold();
  }
  if (!told.ok()) {
    guest.AbandonRange(plan);
    return told;
  }
  const PageCount before = change.CurrentReservation();
  return FollowRelease(change, before, guest.CommitRange(plan, change));
}

absl::Status CheckRange(const Context& context, PfnExtent pfns, Pfn end) {
  if (pfns.empty()) {
    return context.Refuse(
        absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
        absl::StrFormat("of 0 pfns at 0x%x; name at least one",
                        pfns.first.value()),
        "", {{fact::kValue, Hex(pfns.first.value())}});
  }
  if (FitsWithin(pfns.first, pfns.count, end)) return absl::OkStatus();
  return context.Refuse(
      absl::StatusCode::kOutOfRange, Reason::kPfnOutOfRange,
      absl::StrFormat("of %d pfns from 0x%x", pfns.count.value(),
                      pfns.first.value()),
      absl::StrFormat("the p2m area ends at pfn 0x%x", end.value()),
      {{fact::kValue, Hex(pfns.first.value())},
       {fact::kLimit, Hex(end.value())}});
}

}  // namespace

absl::StatusOr<RangeChange> DomainP2m::MarkIdentity(const Operation& operation,
                                                    Pfn start, Pfn end,
                                                    bool release_ram) const {
  const RamPolicy policy =
      release_ram ? RamPolicy::kRelease : RamPolicy::kRefuse;
  return domain_.Change(
      operation, Needs::kNotSuspendedOwnKernel,
      [=](ChangeScope& change) -> absl::StatusOr<RangeChange> {
        SIMVISOR_ASSIGN_OR_RETURN(const PfnExtent pfns,
                                  IdentityRange(change, start, end));
        if (pfns.empty()) return RangeChange{};
        SIMVISOR_RETURN_IF_ERROR(ClaimPfns(change, pfns));
        return change.parts().guest() == nullptr
                   ? MarkBuilt(change, pfns, policy)
                   : SetGuestRange(change, pfns, RangeFill::Identity(), policy);
      });
}

absl::StatusOr<RangeChange> DomainP2m::SetRange(const Operation& operation,
                                                PfnExtent pfns,
                                                P2mClass p2m_class,
                                                Mfn first_mfn,
                                                RamPolicy policy) const {
  assert(p2m_class != P2mClass::kForeign);
  return domain_.Change(
      operation, Needs::kBootedNotSuspended,
      [=](ChangeScope& change) -> absl::StatusOr<RangeChange> {
        SIMVISOR_RETURN_IF_ERROR(CheckRange(
            change.context(), pfns, change.parts().memory.words().size()));
        SIMVISOR_RETURN_IF_ERROR(ClaimPfns(change, pfns));
        return SetGuestRange(change, pfns, {p2m_class, first_mfn}, policy);
      });
}

absl::Status DomainP2m::Translate(absl::Span<const uint64_t> pfns,
                                  std::vector<P2mWord>& words) const {
  words.reserve(words.size() + pfns.size());
  if (const P2mWords* published = domain_.published(); published != nullptr) {
    const P2mWords::Reader reader(*published);
    for (const uint64_t pfn : pfns) words.push_back(reader.Lookup(Pfn(pfn)));
    return absl::OkStatus();
  }
  return domain_.Look("translate", Needs::kAlive,
                      [&](const Parts& on, const Context&) -> absl::Status {
                        for (const uint64_t pfn : pfns) {
                          words.push_back(on.memory.words().Lookup(Pfn(pfn)));
                        }
                        return absl::OkStatus();
                      });
}

absl::Status DomainP2m::TranslateMfns(
    absl::Span<const uint64_t> mfns,
    std::vector<MfnTranslation>& answers) const {
  answers.reserve(answers.size() + mfns.size());
  const auto translate = [&](const P2mWords& words) {
    for (const uint64_t mfn : mfns) {
      const Pfn candidate = domain_.pool().Lookup(Mfn(mfn)).first_pfn;
      answers.push_back(MfnToPfn(words, Mfn(mfn), candidate));
    }
    return absl::OkStatus();
  };
  if (const P2mWords* published = domain_.published(); published != nullptr) {
    return translate(*published);
  }
  return domain_.Look("translate mfns", Needs::kAlive,
                      [&](const Parts& on, const Context&) -> absl::Status {
                        return translate(on.memory.words());
                      });
}

absl::StatusOr<Pfn> DomainP2m::ListRuns(Pfn start, Pfn end, P2mView view,
                                        RunMerge merge, size_t max_runs,
                                        std::vector<P2mRun>& runs,
                                        uint64_t* generation) const {
  return domain_.Look(
      "list p2m", Needs::kAlive,
      [&](const Parts& on, const Context& context) -> absl::StatusOr<Pfn> {
        if (start > end) {
          return EndsBeforeStart(context, OfRange({start, end - start}));
        }
        const P2mWords& words = on.memory.words();
        if (start >= words.size()) {
          return context.Refuse(
              absl::StatusCode::kOutOfRange, Reason::kPfnOutOfRange,
              absl::StrFormat("from pfn 0x%x on", start.value()),
              absl::StrFormat("the list ends at pfn 0x%x",
                              words.size().value()),
              {{fact::kValue, Hex(start.value())},
               {fact::kLimit, Hex(words.size().value())}});
        }
        const Pfn last = std::min(end, words.size());
        *generation = words.generation();
        Pfn at = start;
        for (size_t n = 0; n < max_runs && at < last; ++n) {
          // In the builder's list no leaf is shared, so both views are the
          // same.
          runs.push_back(on.guest() == nullptr
                             ? words.RunAt(at, last, merge)
                             : on.guest()->list().RunAt(at, last, view, merge));
          at = runs.back().pfns.end();
        }
        return at;
      });
}

absl::StatusOr<P2mReport> DomainP2m::Summary() const {
  return domain_.Look(
      "p2m summary", Needs::kAlive,
      [](const Parts& on, const Context&) -> absl::StatusOr<P2mReport> {
        P2mReport report;
        if (const Guest* guest = on.guest(); guest != nullptr) {
          report.summary = guest->list().Summary();
          report.remapped = guest->at_boot().remapped;
          report.released = guest->at_boot().released;
        } else {
          report.summary = on.built() != nullptr
                               ? on.built()->list().Summary()
                               : CountWords(on.memory.words());
        }
        return report;
      });
}

absl::StatusOr<MfnListList> DomainP2m::FindMfnListList() const {
  return domain_.Look(
      "find the p2m list", Needs::kBooted,
      [](const Parts& on,
         const Context& context) -> absl::StatusOr<MfnListList> {
        const P2mList& list = on.guest()->list();
        const absl::StatusOr<ToolsRoot> root = list.FindToolsRoot();
        if (!root.ok()) {
          return context.Refuse(root.status().code(), Reason::kP2mTreeStale, "",
                                root.status().message());
        }
        return MfnListList{.root = *root,
                           .max_pfn = list.last_pfn(),
                           .abi = &list.abi(),
                           .generation = list.generation()};
      });
}

}  // namespace simvisor
