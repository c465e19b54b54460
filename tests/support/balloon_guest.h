// A whole guest on its own machine, for tests of its balloon driver: targets,
// timers, frames of the host, pauses, lent pages.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_SUPPORT_BALLOON_GUEST_H_
#define SIMVISOR_TESTS_SUPPORT_BALLOON_GUEST_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "domain/vm/domain.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"

namespace simvisor {

// What is visible of the driver.
struct BalloonFigures {
  BalloonState state = BalloonState::kDone;
  uint64_t current = 0, target = 0, low = 0, high = 0;
  uint32_t delay = 1, retry = 1;
  uint32_t sleep = kLongSleep;

  static constexpr uint32_t kLongSleep = 3600;  // p2m.md B2

  friend bool operator==(const BalloonFigures&,
                         const BalloonFigures&) = default;
  friend void PrintTo(const BalloonFigures& f, std::ostream* out) {
    *out << "state " << static_cast<int>(f.state) << " current " << f.current
         << " target " << f.target << " low " << f.low << " high " << f.high
         << " delay " << f.delay << " retry " << f.retry << " sleep "
         << f.sleep;
  }
};

class BalloonGuest {
 public:
  // Besides `memory`, the guest has `more` pages that are not counted here, so
  // that it can be told to keep fewer pages than its own list takes.  Its room
  // starts higher by that many pages.
  //
  // Initially the host has more free frames than the guest has room for.
  BalloonGuest(Arch arch, uint64_t memory, uint64_t room, uint32_t max_retry,
               uint64_t more)
      : more_(more),
        most_(memory + more + room),
        host_(MakeHost(kDom0Pages + FillerPages() + 2 * most_)),
        filler_(MustCreate(*host_, MakeSpec("filler", FillerPages(),
                                            FillerPages() + 2 * most_))) {
    EXPECT_THAT(filler_->balloon().SetMaximum(
                    {"set maximum memory"}, filler_->Info().memory.static_max),
                IsOk());
    DomainSpec spec = MakeSpec("guest", memory + more, most_);
    spec.arch = arch;
    spec.balloon_max_retry = max_retry;
    guest_ = MustCreate(*host_, spec);
    LiftLimit();
  }

  // Pages that it never gives.
  uint64_t keeps() const {
    const DomainMemory memory = guest_->Info().memory;
    return (memory.current - memory.available).value();
  }

  // Makes a program in the guest use enough of its pages that it keeps `pages`.
  // Fails if that is more than a program can use, or less than keeps().
  absl::Status Keep(uint64_t pages) {
    const uint64_t before = keeps();
    pages += more_;
    if (pages == before) return absl::OkStatus();
    if (pages < before) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "the guest keeps %d pages, and was to keep %d", before, pages));
    }
    LoadSpec load;
    load.working_set = PageCount(pages - before);
    return guest_->load().Start({"start a load"}, load).status();
  }

  // Another domain takes or gives frames until `frames` are free, or more than
  // the guest can ever use up.
  void SetHostFree(uint64_t frames) {
    frames = std::min(frames, most_);
    const uint64_t free = host_->Info().free.value();
    if (frames < free) {
      EXPECT_THAT(filler_->balloon().Up({"balloon up"},
                                        PageCount(free - frames), false),
                  IsOk());
    } else if (frames > free) {
      EXPECT_THAT(filler_->balloon().Down({"balloon down"},
                                          PageCount(frames - free), false),
                  IsOk());
    }
    EXPECT_EQ(host_->Info().free.value(), frames);
  }
  void SetTarget(uint64_t pages) {
    EXPECT_THAT(guest_->balloon().SetTarget({"set memory target"},
                                            PageCount(pages + more_)),
                IsOk());
    LiftLimit();
  }
  void RunOutTimer() {
    EXPECT_THAT(
        guest_->balloon().Wake({"balloon timer"}, guest_->balloon().timer()),
        IsOk());
  }
  void Pause() { EXPECT_THAT(guest_->Pause({"pause"}), IsOk()); }
  void Unpause() { EXPECT_THAT(guest_->Unpause({"unpause"}), IsOk()); }

  // Lends pfns of the balloon out for mappings of a frame of dom0.
  void MapBallooned(const std::vector<uint64_t>& pfns) {
    std::vector<ForeignSlot> slots;
    const Mfn frame(WordOf(*host_->Find(DomainId(0)).value(), 1500).Number());
    for (const uint64_t pfn : pfns) slots.push_back({Pfn(pfn), frame});
    ForeignReport report;
    EXPECT_THAT(guest_->p2m().MapForeign({"map foreign"}, slots, report),
                IsOk());
    EXPECT_EQ(report.done, pfns.size());
  }
  void UnmapBallooned(const std::vector<uint64_t>& pfns) {
    ForeignReport report;
    EXPECT_THAT(
        host_->UnmapForeign({"unmap foreign"}, guest_->id(), pfns, report),
        IsOk());
    EXPECT_EQ(report.done, pfns.size());
  }
  // The pfns in the balloon.
  std::set<uint64_t> Missing() const {
    const Pfn end(guest_->p2m().Summary()->summary.p2m_size);
    std::set<uint64_t> pfns;
    for (const P2mRun& run : RunsByClass(*guest_, Pfn(0), end)) {
      if (run.word.Class() != P2mClass::kMissing) continue;
      for (Pfn pfn = run.pfns.first; pfn < run.pfns.end();
           pfn += PageCount(1)) {
        pfns.insert(pfns.end(), pfn.value());
      }
    }
    return pfns;
  }

  BalloonFigures Figures() const {
    const BalloonDriverInfo driver = guest_->Info().balloon_driver.value();
    return {.state = driver.state,
            .current = driver.current.value() - more_,
            .target = driver.target.value() - more_,
            .low = driver.low.value(),
            .high = driver.high.value(),
            .delay = driver.schedule_delay,
            .retry = driver.retry_count,
            .sleep = guest_->balloon().timer().seconds.value_or(
                BalloonFigures::kLongSleep)};
  }
  std::vector<std::string> Audit() const { return host_->Audit().findings; }

 private:
  // Pages of the domain that takes the host's other frames: its own list must
  // fit, and it can have room for at most ten times as many pages.
  uint64_t FillerPages() const { return 4096 + most_ / 4; }

  // Raises the limit, so that only the guest's target and the host's frames
  // determine its size.
  void LiftLimit() {
    EXPECT_THAT(guest_->balloon().SetMaximum({"set maximum memory"},
                                             guest_->abi().max_domain_pages()),
                IsOk());
  }

  const uint64_t more_;
  const uint64_t most_;  // pages that the guest can have
  std::unique_ptr<Host> host_;
  std::shared_ptr<Domain> filler_;
  std::shared_ptr<Domain> guest_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_BALLOON_GUEST_H_
