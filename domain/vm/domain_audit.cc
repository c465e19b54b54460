// The invariants of a domain, checked from scratch.

#include <algorithm>

#include "absl/strings/str_format.h"
#include "domain/vm/domain.h"

namespace simvisor {
namespace {

// Collects findings about one domain, each with the domain's name before it.
class Findings {
 public:
  Findings(DomainId id, std::vector<std::string>& out) : id_(id), out_(out) {}
  void Add(absl::string_view what) {
    out_.push_back(absl::StrFormat("domain %d: %s", id_.value(), what));
  }

 private:
  DomainId id_;
  std::vector<std::string>& out_;
};

// Invariant (1): `frames` belong to `id`, end at or below `end`, and their m2p
// entries name `first`, first + 1, ...; `first` None() stands for no entry.
void CheckFrames(const FramePool& pool, DomainId id, Mfn end, MfnExtent frames,
                 Pfn first, Findings& findings) {
  if (!FitsWithin(frames.first, frames.count, end)) {
    findings.Add(absl::StrFormat(
        "%d frames from mfn 0x%x leave what it can be given, which ends at mfn "
        "0x%x",
        frames.count.value(), frames.first.value(), end.value()));
  }
  // The pool knows nothing behind its end.
  frames = ExtentBetween(frames.first, std::min(frames.end(), pool.max_mfn()));
  std::vector<FrameRun> runs;
  for (MfnExtent rest = frames; !rest.empty();) {
    runs.clear();
    const Mfn next = pool.ListRuns(rest, 64, runs);
    for (const FrameRun& run : runs) {
      const Pfn expected =
          first.is_none() ? first : first + (run.frames.first - frames.first);
      if (run.state != FrameState::kOwned || run.owner != id ||
          run.first_pfn != expected) {
        findings.Add(
            absl::StrFormat("mfn 0x%x is held at pfn 0x%x, but the m2p says "
                            "state %d, owner %d, "
                            "pfn 0x%x",
                            run.frames.first.value(), expected.value(),
                            static_cast<int>(run.state), run.owner.value(),
                            run.first_pfn.value()));
      }
    }
    rest = ExtentBetween(next, frames.end());
  }
}

// Invariant (7): `frames`, at foreign words from `first` on, are owned by
// domains other than `id`.
void CheckForeign(const FramePool& pool, DomainId id, Pfn first,
                  MfnExtent frames, Findings& findings) {
  for (PageCount i; i < frames.count; i += PageCount(1)) {
    const FrameRun run = pool.Lookup(frames.first + i);
    if (run.state == FrameState::kOwned && run.owner != id) continue;
    findings.Add(absl::StrFormat(
        "foreign pfn 0x%x names mfn 0x%x, which no other domain owns",
        (first + i).value(), (frames.first + i).value()));
  }
}

// Every pfn of `pfns` is of class `wanted`.
void CheckClass(const P2mWords& words, PfnExtent pfns, P2mClass wanted,
                absl::string_view what, Findings& findings) {
  if (pfns.end() > words.size()) {
    findings.Add(absl::StrFormat("%s pfns [0x%x, 0x%x) leave the list", what,
                                 pfns.first.value(), pfns.end().value()));
    return;
  }
  const Pfn end = pfns.end();
  for (Pfn at = pfns.first; at < end;) {
    const P2mRun run = words.RunAt(at, end, RunMerge::kByClass);
    if (run.word.Class() != wanted) {
      findings.Add(absl::StrFormat("%s pfn 0x%x reads %s", what, at.value(),
                                   run.word.ToString()));
    }
    at = run.pfns.end();
  }
}

}  // namespace

void Domain::AuditAddressSpaces(std::vector<std::string>& out) const {
  if (address_spaces_ == nullptr) return;
  Findings findings(id_, out);
  const absl::Status status = address_spaces_->CheckInvariants();
  if (!status.ok()) {
    findings.Add(
        absl::string_view(status.message().data(), status.message().size()));
  }
  const StructurePages& list = structure();
  address_spaces_->ForEachPage([&](PfnExtent pfns) {
    CheckClass(*words_, pfns, P2mClass::kRam, "page table", findings);
    if (list.Intersects(pfns)) {
      findings.Add(absl::StrFormat(
          "page tables at pfns [0x%x, 0x%x) hold the p2m list as well",
          pfns.first.value(), pfns.end().value()));
    }
  });
}

PageCount Domain::Audit(std::vector<std::string>& out, uint64_t* words) const {
  Findings findings(id_, out);
  const PageCount owned = current_ + pool_.HeldBy(id_);
  if (state_ == DomainState::kDying) {
    AuditDying(out);
    return owned;
  }
  {
    absl::MutexLock lock(&affinity_mu_);
    const absl::Status affinities = affinities_.CheckInvariants();
    if (!affinities.ok()) findings.Add(affinities.message());
  }
  AuditForeign(AuditWords(out, words), out);
  AuditGuest(out);
  return owned;
}

void Domain::AuditGuest(std::vector<std::string>& out) const {
  Findings findings(id_, out);
  const absl::Status list_status =
      list_ == nullptr ? absl::OkStatus() : list_->CheckInvariants();
  if (!list_status.ok()) {
    findings.Add(absl::string_view(list_status.message().data(),
                                   list_status.message().size()));
  }
  structure().ForEach([&](PfnExtent pfns) {
    CheckClass(*words_, pfns, P2mClass::kRam, "structure", findings);
  });
  AuditAddressSpaces(out);
  AuditFreePages(out);
  AuditLoad(out);
  AuditBalloon(out);
}

void Domain::AuditDying(std::vector<std::string>& out) const {
  if (!gave_all_back_.load(std::memory_order_relaxed)) return;
  if (current_ == PageCount(0) && foreign_.empty() &&
      foreign_from_balloon_.empty() && unmapped_frames_.empty()) {
    return;
  }
  Findings(id_, out).Add(absl::StrFormat(
      "it has given everything back, but has %d pages, %d foreign words and "
      "%d unmapped frames",
      current_.value(), foreign_.size().value(),
      unmapped_frames_.size().value()));
}

PageCount Domain::AuditWords(std::vector<std::string>& out,
                             uint64_t* words) const {
  Findings findings(id_, out);
  const Mfn end =
      reach_ == FrameReach::kLow ? pool_.low_end() : pool_.max_mfn();
  PageCount ram, foreign;
  for (Pfn at(0); at < words_->size();) {
    const P2mRun run = words_->RunAt(at, words_->size(), RunMerge::kByFrame);
    if (run.word.Class() == P2mClass::kRam) {
      ram += run.pfns.count;
      CheckFrames(pool_, id_, end, {Mfn(run.word.Number()), run.pfns.count}, at,
                  findings);
    } else if (run.word.Class() == P2mClass::kForeign) {
      foreign += run.pfns.count;
      CheckForeign(pool_, id_, at, {Mfn(run.word.Number()), run.pfns.count},
                   findings);
    }
    at = run.pfns.end();
  }
  *words += ram.value();
  for (const auto& [first, last] : unmapped_frames_.extents()) {
    CheckFrames(pool_, id_, end, ExtentBetween(first, last), Pfn::None(),
                findings);
  }
  if (ram + unmapped_frames_.size() != current_) {
    findings.Add(absl::StrFormat(
        "%d RAM words and %d unmapped frames, but %d pages are counted",
        ram.value(), unmapped_frames_.size().value(), current_.value()));
  }
  return foreign;
}

void Domain::AuditFreePages(std::vector<std::string>& out) const {
  Findings findings(id_, out);
  for (const auto& [first, last] : free_pages_.set().extents()) {
    const PfnExtent pfns = ExtentBetween(first, last);
    CheckClass(*words_, pfns, P2mClass::kRam, "free", findings);
    if (structure().Intersects(pfns)) {
      findings.Add(absl::StrFormat("free pfns [0x%x, 0x%x) hold the p2m list",
                                   first.value(), last.value()));
    }
    if (HoldsPageTables(pfns)) {
      findings.Add(absl::StrFormat("free pfns [0x%x, 0x%x) hold page tables",
                                   first.value(), last.value()));
    }
  }
}

void Domain::AuditLoad(std::vector<std::string>& out) const {
  if (load_ == nullptr) return;
  Findings findings(id_, out);
  const auto check = [&](bool shared, PfnExtent pfns, absl::string_view what) {
    if (!shared) return;
    findings.Add(absl::StrFormat("load pfns [0x%x, 0x%x) %s as well",
                                 pfns.first.value(), pfns.end().value(), what));
  };
  for (const auto& [first, last] : load_->pages().extents()) {
    const PfnExtent pfns = ExtentBetween(first, last);
    CheckClass(*words_, pfns, P2mClass::kRam, "load", findings);
    check(structure().Intersects(pfns), pfns, "hold the p2m list");
    check(HoldsPageTables(pfns), pfns, "hold page tables");
    check(free_pages_.set().CountIn(pfns) > PageCount(0), pfns, "are free");
  }
}

void Domain::AuditForeign(PageCount words,
                          std::vector<std::string>& out) const {
  Findings findings(id_, out);
  for (const auto& [first, end] : foreign_.extents()) {
    CheckClass(*words_, ExtentBetween(first, end), P2mClass::kForeign,
               "foreign", findings);
  }
  if (words != foreign_.size()) {
    findings.Add(absl::StrFormat("%d foreign words, but %d are counted",
                                 words.value(), foreign_.size().value()));
  }
  for (const auto& [first, end] : foreign_from_balloon_.extents()) {
    const PfnExtent pfns = ExtentBetween(first, end);
    if (foreign_.CountIn(pfns) == pfns.count) continue;
    findings.Add(
        absl::StrFormat("[0x%x, 0x%x) left the balloon for foreign "
                        "frames, but has none",
                        first.value(), end.value()));
  }
}

void Domain::CountForeign(absl::btree_map<Mfn, uint64_t>& mapped) const {
  if (state_ == DomainState::kDying) return;
  for (const auto& [first, end] : foreign_.extents()) {
    for (Pfn at = first; at < end; at += PageCount(1)) {
      ++mapped[Mfn(words_->Lookup(at).Number())];
    }
  }
}

void Domain::AuditBalloon(std::vector<std::string>& out) const {
  Findings findings(id_, out);
  PageCount low, high;
  for (const BalloonList::Run& run : balloon_.low_runs()) {
    low += run.pfns.count;
    CheckClass(*words_, run.pfns, P2mClass::kMissing, "ballooned", findings);
  }
  for (const BalloonList::Run& run : balloon_.high_runs()) {
    high += run.pfns.count;
    CheckClass(*words_, run.pfns, P2mClass::kMissing, "ballooned", findings);
  }
  PfnSet pfns;
  for (const BalloonList::Runs* runs :
       {&balloon_.low_runs(), &balloon_.high_runs()}) {
    for (const BalloonList::Run& run : *runs) pfns.Add(run.pfns);
  }
  if (pfns.size() != low + high) {
    findings.Add(absl::StrFormat("%d pfns are in the balloon, %d times in all",
                                 pfns.size().value(), (low + high).value()));
  }
  if (!booted_.load(std::memory_order_relaxed)) return;
  if (driver_.lent() != foreign_from_balloon_.size()) {
    findings.Add(absl::StrFormat(
        "%d pfns of the balloon are lent out, and its driver counts %d",
        foreign_from_balloon_.size().value(), driver_.lent().value()));
  }
  if (driver_.low() != low || driver_.high() != high) {
    findings.Add(absl::StrFormat(
        "%d low and %d high pfns are in the balloon, but its driver counts %d "
        "and %d",
        low.value(), high.value(), driver_.low().value(),
        driver_.high().value()));
  }
  if (driver_.current() != current_) {
    findings.Add(absl::StrFormat(
        "%d pages are counted, but the balloon driver counts %d",
        current_.value(), driver_.current().value()));
  }
  if (state_ == DomainState::kRunning && !driver_.gave_up_target() &&
      driver_.target() != target_) {
    findings.Add(absl::StrFormat(
        "the target is %d pages, but the balloon driver's is %d",
        target_.value(), driver_.target().value()));
  }
}

}  // namespace simvisor
