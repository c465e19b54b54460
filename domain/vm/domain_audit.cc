#include "domain/vm/domain_audit.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_format.h"
#include "domain/units/findings.h"
#include "domain/vm/domain.h"
#include "domain/vm/mmu_audit.h"

namespace simvisor {
namespace {

// How many words of a domain are RAM, and how many foreign.
struct CountedWords {
  PageCount ram;
  PageCount foreign;
};

// Checks invariants of one domain against the pool.
class FrameAudit {
 public:
  FrameAudit(const FramePool& pool, DomainId id, FrameReach reach,
             Findings& findings)
      : pool_(pool),
        id_(id),
        end_(reach == FrameReach::kLow ? pool.low_end() : pool.max_mfn()),
        findings_(findings) {}

  CountedWords CheckWords(const P2mWords& words) {
    CountedWords counted;
    for (Pfn at(0); at < words.size();) {
      const P2mRun run = words.RunAt(at, words.size(), RunMerge::kByFrame);
      const MfnExtent frames = {Mfn(run.word.Number()), run.pfns.count};
      if (run.word.Class() == P2mClass::kRam) {
        counted.ram += run.pfns.count;
        CheckFrames(frames, at);
      } else if (run.word.Class() == P2mClass::kForeign) {
        counted.foreign += run.pfns.count;
        CheckForeign(at, frames);
      }
      at = run.pfns.end();
    }
    return counted;
  }

  // Invariant (1): `frames` belong to the domain, lie where it can reach them,
  // and their m2p entries name `first`, first + 1, ...; None() stands for no
  // entry.
  void CheckFrames(MfnExtent frames, Pfn first) {
    if (!FitsWithin(frames.first, frames.count, end_)) {
      findings_.Add(absl::StrFormat(
          "%d frames from mfn 0x%x leave what it can be given, which ends at "
          "mfn 0x%x",
          frames.count.value(), frames.first.value(), end_.value()));
    }
    // The pool knows nothing past its end.
    frames =
        ExtentBetween(frames.first, std::min(frames.end(), pool_.max_mfn()));
    std::vector<FrameRun> runs;
    for (MfnExtent rest = frames; !rest.empty();) {
      runs.clear();
      const Mfn next = pool_.ListRuns(rest, 64, runs);
      for (const FrameRun& run : runs) {
        CheckRun(run, first.is_none()
                          ? first
                          : first + (run.frames.first - frames.first));
      }
      rest = ExtentBetween(next, frames.end());
    }
  }

 private:
  void CheckRun(const FrameRun& run, Pfn expected) {
    if (run.state == FrameState::kOwned && run.owner == id_ &&
        run.first_pfn == expected) {
      return;
    }
    findings_.Add(absl::StrFormat(
        "mfn 0x%x is held at pfn 0x%x, but the m2p says "
        "state %d, owner %d, "
        "pfn 0x%x",
        run.frames.first.value(), expected.value(), static_cast<int>(run.state),
        run.owner.value(), run.first_pfn.value()));
  }

  // Invariant (7): `frames`, at foreign words from `first` on, are owned by
  // other domains.
  void CheckForeign(Pfn first, MfnExtent frames) {
    for (PageCount i; i < frames.count; i += PageCount(1)) {
      const FrameRun run = pool_.Lookup(frames.first + i);
      if (run.state == FrameState::kOwned && run.owner != id_) continue;
      findings_.Add(absl::StrFormat(
          "foreign pfn 0x%x names mfn 0x%x, which no other domain owns",
          (first + i).value(), (frames.first + i).value()));
    }
  }

  const FramePool& pool_;
  const DomainId id_;
  const Mfn end_;
  Findings& findings_;
};

void CountForeign(const Guest& guest, DomainAuditTotals& totals) {
  for (const auto& [first, end] : guest.foreign().extents()) {
    for (Pfn at = first; at < end; at += PageCount(1)) {
      ++totals.mapped[Mfn(guest.list().Lookup(at).Number())];
    }
  }
}

// A dying domain keeps what it has until its secondary MMUs have let go.
void CheckDying(const Parts& on, DomainAuditTotals& totals,
                Findings& findings) {
  if (!on.life.relinquished()) {
    if (on.guest() != nullptr) CountForeign(*on.guest(), totals);
    return;
  }
  const Guest* guest = on.guest();
  const PageCount foreign =
      guest == nullptr ? PageCount(0) : guest->foreign().size();
  const bool lent = guest != nullptr && !guest->balloon().lent().empty();
  if (on.reservation.current() == PageCount(0) && foreign == PageCount(0) &&
      !lent && on.memory.unplaced().empty()) {
    return;
  }
  findings.Add(absl::StrFormat(
      "it has given everything back, but has %d pages, %d foreign words and "
      "%d unmapped frames",
      on.reservation.current().value(), foreign.value(),
      on.memory.unplaced().size().value()));
}

void CheckLedger(const Parts& on, PageCount ram, Findings& findings) {
  const PageCount unplaced = on.memory.unplaced().size();
  const PageCount current = on.reservation.current();
  if (ram + unplaced == current) return;
  findings.Add(absl::StrFormat(
      "%d RAM words and %d unmapped frames, but %d pages are counted",
      ram.value(), unplaced.value(), current.value()));
}

// Invariant (6).
void CheckTarget(const Parts& on, Findings& findings) {
  const BalloonDriver& driver = on.guest()->balloon().driver();
  const PageCount target = on.reservation.target();
  if (!on.life.runs() || driver.gave_up_target() || driver.target() == target) {
    return;
  }
  findings.Add(
      absl::StrFormat("the target is %d pages, but the balloon driver's is %d",
                      target.value(), driver.target().value()));
}

}  // namespace

void DomainAudit::Lock() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  domain_.mu_.ReaderLock();
}

bool DomainAudit::TryLock() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  return domain_.mu_.ReaderTryLock();
}

void DomainAudit::Unlock() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  domain_.mu_.ReaderUnlock();
}

void DomainAudit::Check(DomainAuditTotals& totals) const {
  domain_.mu_.AssertReaderHeld();
  CheckParts(domain_.parts_, totals);
}

void DomainAudit::CheckParts(const Parts& on, DomainAuditTotals& totals) const {
  const DomainId id = domain_.id();
  const FramePool& pool = domain_.pool();
  Findings findings(id, totals.findings);
  totals.pages += on.reservation.current() + pool.HeldBy(id);
  const MmuAudit mmus(domain_.mmu_state(), on, findings);
  if (on.life.dying()) {
    mmus.Check();
    return CheckDying(on, totals, findings);
  }
  findings.Add(domain_.vcpus_.CheckInvariants());
  FrameAudit frames(pool, id, ReachOf(domain_.abi()), findings);
  const CountedWords words = frames.CheckWords(on.memory.words());
  totals.words += words.ram.value();
  for (const auto& [first, last] : on.memory.unplaced().extents()) {
    frames.CheckFrames(ExtentBetween(first, last), Pfn::None());
  }
  CheckLedger(on, words.ram, findings);
  const Guest* guest = on.guest();
  const PageCount foreign =
      guest == nullptr ? PageCount(0) : guest->foreign().size();
  if (words.foreign != foreign) {
    findings.Add(absl::StrFormat("%d foreign words, but %d are counted",
                                 words.foreign.value(), foreign.value()));
  }
  mmus.Check();
  if (on.built() != nullptr) on.built()->Check(findings);
  if (guest == nullptr) return;
  guest->Check(words.ram, findings);
  CountForeign(*guest, totals);
  // A change that drives the balloon by hand sets the target at its end.
  const MmuState* const state = domain_.mmu_state();
  if (state == nullptr || !state->claims.seat_taken()) {
    CheckTarget(on, findings);
  }
}

}  // namespace simvisor
