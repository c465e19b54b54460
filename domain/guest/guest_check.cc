#include "domain/guest/guest_check.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "domain/guest/guest.h"

namespace simvisor {

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

void CheckListAndFreePages(const P2mWords& words, const KernelPages& kernel,
                           const FreePages& free, Findings& findings) {
  kernel.list_pages().ForEach([&](PfnExtent pfns) {
    CheckClass(words, pfns, P2mClass::kRam, "structure", findings);
  });
  for (const auto& [first, last] : free.set().extents()) {
    const PfnExtent pfns = ExtentBetween(first, last);
    CheckClass(words, pfns, P2mClass::kRam, "free", findings);
    if (kernel.list_pages().Intersects(pfns)) {
      findings.Add(absl::StrFormat("free pfns [0x%x, 0x%x) hold the p2m list",
                                   first.value(), last.value()));
    }
    if (kernel.HoldsPageTables(pfns)) {
      findings.Add(absl::StrFormat("free pfns [0x%x, 0x%x) hold page tables",
                                   first.value(), last.value()));
    }
  }
}

void CheckPagesInUse(const P2mWords& words, const PfnSet& pages,
                     absl::string_view what, const KernelPages& kernel,
                     const FreePages& free, Findings& findings) {
  const auto check = [&](bool shared, PfnExtent pfns, absl::string_view use) {
    if (!shared) return;
    findings.Add(absl::StrFormat("%s pfns [0x%x, 0x%x) %s as well", what,
                                 pfns.first.value(), pfns.end().value(), use));
  };
  for (const auto& [first, last] : pages.extents()) {
    const PfnExtent pfns = ExtentBetween(first, last);
    CheckClass(words, pfns, P2mClass::kRam, what, findings);
    check(kernel.list_pages().Intersects(pfns), pfns, "hold the p2m list");
    check(kernel.HoldsPageTables(pfns), pfns, "hold page tables");
    check(free.set().CountIn(pfns) > PageCount(0), pfns, "are free");
  }
}

void Guest::Check(PageCount ram, Findings& findings) const {
  findings.Add(list_->CheckInvariants());
  CheckProcesses(findings);
  const P2mWords& words = list_->words();
  CheckListAndFreePages(words, *this, free_pages_, findings);
  CheckPagesInUse(words, kernel_image_, "kernel", *this, free_pages_, findings);
  if (load_ != nullptr) {
    CheckPagesInUse(words, load_->pages(), "load", *this, free_pages_,
                    findings);
  }
  CheckBalloon(findings);
  CheckForeignWords(findings);
  CheckUseOfPages(ram, findings);
}

// Sums are enough, since the other checks find a page with two uses.
// The kernel uses all of the first MiB, so that is left out.
void Guest::CheckUseOfPages(PageCount ram, Findings& findings) const {
  const P2mWords& words = list_->words();
  const Pfn low_end = std::min(Pfn(kKernelLowPages.value()), words.size());
  PageCount low_ram;
  for (Pfn at(0); at < low_end;) {
    const P2mRun run = words.RunAt(at, low_end, RunMerge::kByClass);
    if (run.word.Class() == P2mClass::kRam) low_ram += run.pfns.count;
    at = run.pfns.end();
  }
  const PageCount used =
      list_->structure().size() + kernel_image_.size() +
      (processes_ == nullptr ? PageCount(0) : processes_->pages()) +
      (load_ == nullptr ? PageCount(0) : load_->pages().size());
  if (low_ram + used + free_pages_.count() + in_transit_ == ram) return;
  findings.Add(absl::StrFormat(
      "%d pages above the first MiB are RAM, but %d are in use, %d free and %d "
      "in transit",
      (ram - low_ram).value(), used.value(), free_pages_.count().value(),
      in_transit_.value()));
}

void Guest::CheckProcesses(Findings& findings) const {
  if (processes_ == nullptr) return;
  findings.Add(processes_->CheckInvariants());
  processes_->ForEachPage([&](PfnExtent pfns) {
    CheckClass(list_->words(), pfns, P2mClass::kRam, "page table", findings);
    if (list_->structure().Intersects(pfns)) {
      findings.Add(absl::StrFormat(
          "page tables at pfns [0x%x, 0x%x) hold the p2m list as well",
          pfns.first.value(), pfns.end().value()));
    }
  });
}

void Guest::CheckBalloon(Findings& findings) const {
  PageCount counted;
  PfnSet pfns;
  for (const BalloonList::Runs* runs :
       {&balloon_.list().low_runs(), &balloon_.list().high_runs()}) {
    for (const BalloonList::Run& run : *runs) {
      CheckClass(list_->words(), run.pfns, P2mClass::kMissing, "ballooned",
                 findings);
      counted += run.pfns.count;
      pfns.Add(run.pfns);
    }
  }
  if (pfns.size() != counted) {
    findings.Add(absl::StrFormat("%d pfns are in the balloon, %d times in all",
                                 pfns.size().value(), counted.value()));
  }
}

void Guest::CheckForeignWords(Findings& findings) const {
  for (const auto& [first, end] : foreign_.extents()) {
    CheckClass(list_->words(), ExtentBetween(first, end), P2mClass::kForeign,
               "foreign", findings);
  }
  for (const auto& [first, end] : balloon_.lent().extents()) {
    const PfnExtent pfns = ExtentBetween(first, end);
    if (foreign_.CountIn(pfns) == pfns.count) continue;
    findings.Add(
        absl::StrFormat("[0x%x, 0x%x) left the balloon for foreign "
                        "frames, but has none",
                        first.value(), end.value()));
  }
}

}  // namespace simvisor
