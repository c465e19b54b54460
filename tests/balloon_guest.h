// A whole guest whose balloon driver is put through its paces on a machine of
// its own: targets, timers, frames of the host, pauses, lent pages.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_BALLOON_GUEST_H_
#define SIMVISOR_TESTS_BALLOON_GUEST_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <ostream>
#include <vector>

#include "domain/domain/domain.h"
#include "gtest/gtest.h"
#include "tests/host_testing.h"

namespace simvisor {

// What can be seen of the driver.
struct BalloonFigures {
  BalloonState state = BalloonState::kDone;
  uint64_t current = 0, target = 0, low = 0, high = 0;
  uint32_t delay = 1, retry = 1;
  uint32_t sleep = BalloonPolicy::kLongSleep;

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
  BalloonGuest(Arch arch, uint64_t memory, uint64_t room, uint32_t max_retry)
      : host_(MakeHost(kDom0Pages + memory + kMore + kFiller + kSpare)),
        filler_(MustCreate(*host_, MakeSpec("filler", kFiller, 10 * kFiller))) {
    EXPECT_THAT(filler_->SetMaxMemory(PageCount(10 * kFiller)), IsOk());
    DomainSpec spec = MakeSpec("guest", memory + kMore, memory + kMore + room);
    spec.arch = arch;
    spec.balloon_max_retry = max_retry;
    guest_ = MustCreate(*host_, spec);
  }

  // Pages that it never gives.
  uint64_t keeps() const {
    const DomainMemory memory = guest_->Info().memory;
    return (memory.current - memory.available).value();
  }

  // Has a program in the guest use so many of its pages that it keeps `pages`.
  void Keep(uint64_t pages) {
    pages += kMore;
    ASSERT_GE(pages, keeps());
    if (pages == keeps()) return;
    LoadSpec load;
    load.working_set = PageCount(pages - keeps());
    EXPECT_THAT(guest_->StartLoad(load), IsOk());
  }

  // Another domain takes or gives frames, so that `frames` are free.
  void SetHostFree(uint64_t frames) {
    const uint64_t free = host_->Info().free.value();
    if (frames < free) {
      EXPECT_THAT(
          filler_->BalloonUp(PageCount(free - frames), false, NeverStop),
          IsOk());
    } else if (frames > free) {
      EXPECT_THAT(
          filler_->BalloonDown(PageCount(frames - free), false, NeverStop),
          IsOk());
    }
    EXPECT_EQ(host_->Info().free.value(), frames);
  }
  void SetTarget(uint64_t pages) {
    EXPECT_THAT(guest_->SetTarget(PageCount(pages + kMore), NeverStop), IsOk());
  }
  void RunOutTimer() {
    EXPECT_THAT(guest_->WakeBalloon(guest_->balloon_timer(), NeverStop),
                IsOk());
  }
  void Pause() { EXPECT_THAT(guest_->Pause(), IsOk()); }
  void Unpause() { EXPECT_THAT(guest_->Unpause(NeverStop), IsOk()); }

  // Lends pfns of the balloon out for mappings of a frame of dom0.
  void MapBallooned(uint64_t count) {
    const Pfn end(guest_->Summary()->summary.p2m_size);
    std::vector<ForeignSlot> slots;
    const Mfn frame(WordOf(*host_->Find(DomainId(0)).value(), 1500).Number());
    for (const P2mRun& run : RunsByClass(*guest_, Pfn(0), end)) {
      if (run.word.Class() != P2mClass::kMissing) continue;
      for (Pfn pfn = run.pfns.first;
           pfn < run.pfns.end() && slots.size() < count; pfn += PageCount(1)) {
        slots.push_back({pfn, frame});
        lent_.push_back(pfn.value());
      }
    }
    ForeignReport report;
    EXPECT_THAT(guest_->MapForeign(slots, NeverStop, report), IsOk());
    EXPECT_EQ(report.done, count);
  }
  void UnmapBallooned(uint64_t count) {
    ASSERT_LE(count, lent_.size());
    const std::vector<uint64_t> pfns(lent_.end() - count, lent_.end());
    lent_.resize(lent_.size() - count);
    ForeignReport report;
    EXPECT_THAT(host_->UnmapForeign(guest_->id(), pfns, NeverStop, report),
                IsOk());
    EXPECT_EQ(report.done, count);
  }
  uint64_t lent() const { return lent_.size(); }

  BalloonFigures Figures() const {
    const BalloonDriverInfo driver = guest_->Info().balloon_driver.value();
    return {// A driver that has not worked yet has nothing undone.
            .state = driver.state == BalloonState::kNone ? BalloonState::kDone
                                                         : driver.state,
            .current = driver.current.value() - kMore,
            .target = driver.target.value() - kMore,
            .low = driver.low.value(),
            .high = driver.high.value(),
            .delay = driver.schedule_delay,
            .retry = driver.retry_count,
            .sleep = guest_->balloon_timer().seconds.value_or(
                BalloonPolicy::kLongSleep)};
  }
  std::vector<std::string> Audit() const { return host_->Audit().findings; }

 private:
  // Pages that the guest has beside those that are counted here, so that it can
  // be told to keep fewer than its own list takes.
  static constexpr uint64_t kMore = 64;
  static constexpr uint64_t kFiller = 30000;
  static constexpr uint64_t kSpare = 100000;

  std::unique_ptr<Host> host_;
  std::shared_ptr<Domain> filler_;
  std::shared_ptr<Domain> guest_;
  std::vector<uint64_t> lent_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_BALLOON_GUEST_H_
