#include "server/machine/balloon_scheduler.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/threads/worker_pool.h"
#include "tests/support/fake_clock.h"
#include "tests/support/host_testing.h"

namespace simvisor::server {
namespace {

constexpr uint64_t kPages = 3000;

class ServerBalloonSchedulerTest : public testing::Test {
 protected:
  ServerBalloonSchedulerTest() {
    scheduler_.emplace(&clock_, [this](std::function<void()> job) {
      pool_.Submit(std::move(job));
    });
  }

  std::shared_ptr<Domain> Create(const std::string& name) {
    return MustCreate(*host_, MakeSpec(name, kPages, kPages + 1000));
  }
  void Fill() {
    filler_ = MustCreate(*host_, MakeSpec("all", host_->Info().free.value()));
  }
  void Unfill() { ASSERT_THAT(host_->DestroyDomain(filler_->id()), IsOk()); }
  void SetTarget(const std::shared_ptr<Domain>& domain, uint64_t pages) {
    ASSERT_THAT(
        domain->balloon().SetTarget({"set memory target"}, PageCount(pages)),
        IsOk());
    scheduler_->SetTimer(domain, domain->balloon().timer());
  }
  static uint64_t PagesOf(Domain& domain) {
    return domain.Info().memory.current.value();
  }
  static uint32_t RetriesOf(Domain& domain) {
    return domain.Info().balloon_driver->retry_count;
  }
  static BalloonState StateOf(Domain& domain) {
    return domain.Info().balloon_driver->state;
  }

  FakeClock clock_;
  WorkerPool pool_{2};
  const std::unique_ptr<Host> host_ = MakeHost(20000);
  std::shared_ptr<Domain> domain_ = Create("a");
  std::shared_ptr<Domain> filler_;
  std::optional<BalloonScheduler> scheduler_;
};

TEST_F(ServerBalloonSchedulerTest, DriverIsWokenWhenItsDelayIsOver) {
  Fill();
  SetTarget(domain_, kPages + 100);
  Unfill();
  clock_.Advance(1);
  EXPECT_EQ(PagesOf(*domain_), kPages);
  clock_.Advance(1);
  EXPECT_EQ(PagesOf(*domain_), kPages + 100);
}

TEST_F(ServerBalloonSchedulerTest, DelaysDoubleUntilTheDriverGivesUp) {
  Fill();
  SetTarget(domain_, kPages + 100);
  EXPECT_EQ(RetriesOf(*domain_), 2u);
  clock_.Advance(2);
  EXPECT_EQ(RetriesOf(*domain_), 3u);
  clock_.Advance(3);
  EXPECT_EQ(RetriesOf(*domain_), 3u);
  clock_.Advance(1);
  EXPECT_EQ(RetriesOf(*domain_), 4u);
  clock_.Advance(8);
  EXPECT_EQ(StateOf(*domain_), BalloonState::kCancelled);
  Unfill();
  clock_.Advance(3599);
  EXPECT_EQ(PagesOf(*domain_), kPages);
  clock_.Advance(1);
  EXPECT_EQ(PagesOf(*domain_), kPages + 100);
}

TEST_F(ServerBalloonSchedulerTest, EachDriverHasItsOwnTimer) {
  const auto b = Create("b");
  Fill();
  SetTarget(domain_, kPages + 100);
  clock_.Advance(1);
  SetTarget(b, kPages + 100);
  Unfill();
  clock_.Advance(1);
  EXPECT_EQ(PagesOf(*domain_), kPages + 100);
  EXPECT_EQ(PagesOf(*b), kPages);
  clock_.Advance(1);
  EXPECT_EQ(PagesOf(*b), kPages + 100);
}

// Keeps jobs for the test to run.
class HeldJobs {
 public:
  void Add(std::function<void()> job) {
    absl::MutexLock lock(&mu_);
    jobs_.push_back(std::move(job));
    most_ = std::max(most_, jobs_.size());
  }
  // Waits for a job; gives jobs that come too early a moment to show up.
  std::function<void()> Take() {
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(this, &HeldJobs::HasOne));
    }
    absl::SleepFor(absl::Milliseconds(5));
    absl::MutexLock lock(&mu_);
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    return job;
  }
  size_t most() {
    absl::MutexLock lock(&mu_);
    return most_;
  }

 private:
  bool HasOne() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !jobs_.empty(); }

  absl::Mutex mu_;
  std::deque<std::function<void()>> jobs_ ABSL_GUARDED_BY(mu_);
  size_t most_ ABSL_GUARDED_BY(mu_) = 0;
};

TEST_F(ServerBalloonSchedulerTest, OneDriverAtATimeIsWoken) {
  HeldJobs jobs;
  FakeClock clock;
  scheduler_.emplace(&clock,
                     [&jobs](std::function<void()> job) { jobs.Add(job); });
  const auto b = Create("b");
  Fill();
  SetTarget(domain_, kPages + 100);
  SetTarget(b, kPages + 100);
  Unfill();
  std::thread advance([&clock] { clock.Advance(2); });
  for (const auto& domain : {domain_, b}) {
    const std::function<void()> wake_up = jobs.Take();
    EXPECT_EQ(PagesOf(*domain), kPages);
    wake_up();
    EXPECT_EQ(PagesOf(*domain), kPages + 100);
  }
  advance.join();
  EXPECT_EQ(jobs.most(), 1u);
  scheduler_.reset();
}

TEST_F(ServerBalloonSchedulerTest, DriversThatMayWaitWakeApart) {
  HeldJobs waits;
  FakeClock clock;
  scheduler_.emplace(
      &clock,
      [this](std::function<void()> job) { pool_.Submit(std::move(job)); },
      [&waits](std::function<void()> job) { waits.Add(std::move(job)); });
  MmuSpec tlb;
  tlb.name = "tlb";
  ASSERT_THAT(domain_->mmus().Register({"subscribe"}, tlb, {}), IsOk());
  const auto b = Create("b");
  Fill();
  SetTarget(domain_, kPages + 100);
  SetTarget(b, kPages + 100);
  Unfill();
  clock.Advance(2);
  // Although that of `a` has not ended.
  EXPECT_EQ(PagesOf(*b), kPages + 100);
  EXPECT_EQ(PagesOf(*domain_), kPages);
  waits.Take()();
  EXPECT_EQ(PagesOf(*domain_), kPages + 100);
  scheduler_.reset();
}

TEST_F(ServerBalloonSchedulerTest, DriversDoNotWaitForABusyDomain) {
  const auto b = Create("b");
  Fill();
  SetTarget(domain_, kPages + 100);
  SetTarget(b, kPages + 100);
  Unfill();
  domain_->audit().Lock();
  clock_.Advance(2);
  EXPECT_EQ(PagesOf(*b), kPages + 100);
  EXPECT_EQ(PagesOf(*domain_), kPages);
  domain_->audit().Unlock();
  clock_.Advance(1);
  EXPECT_EQ(PagesOf(*domain_), kPages + 100);
}

TEST_F(ServerBalloonSchedulerTest, NewTargetStartsTheTimerAgain) {
  Fill();
  SetTarget(domain_, kPages + 100);
  clock_.Advance(1);
  SetTarget(domain_, kPages + 200);  // the second failure: 4 s from here
  Unfill();
  clock_.Advance(3);
  EXPECT_EQ(PagesOf(*domain_), kPages);
  clock_.Advance(1);
  EXPECT_EQ(PagesOf(*domain_), kPages + 200);
}

TEST_F(ServerBalloonSchedulerTest, SettingTheSameTimerAgainDoesNotRestartIt) {
  Fill();
  SetTarget(domain_, kPages + 100);
  clock_.Advance(1);
  scheduler_->SetTimer(domain_, domain_->balloon().timer());
  Unfill();
  clock_.Advance(1);
  EXPECT_EQ(PagesOf(*domain_), kPages + 100);
}

TEST_F(ServerBalloonSchedulerTest, PausedGuestIsLeftAlone) {
  Fill();
  SetTarget(domain_, kPages + 100);
  ASSERT_THAT(domain_->Pause({"pause"}), IsOk());
  clock_.Advance(10000);
  EXPECT_EQ(RetriesOf(*domain_), 2u);
  ASSERT_THAT(domain_->Unpause({"unpause"}), IsOk());
  scheduler_->SetTimer(domain_, domain_->balloon().timer());
  EXPECT_EQ(RetriesOf(*domain_), 3u);  // its sleep has ended meanwhile
  Unfill();
  clock_.Advance(4);
  EXPECT_EQ(PagesOf(*domain_), kPages + 100);
}

TEST_F(ServerBalloonSchedulerTest, SleepGoesOnWhileTheGuestIsPaused) {
  Fill();
  SetTarget(domain_, kPages + 100);
  clock_.Advance(1);
  ASSERT_THAT(domain_->Pause({"pause"}), IsOk());
  scheduler_->SetTimer(domain_, domain_->balloon().timer());
  Unfill();
  ASSERT_THAT(domain_->Unpause({"unpause"}), IsOk());
  scheduler_->SetTimer(domain_, domain_->balloon().timer());
  EXPECT_EQ(PagesOf(*domain_), kPages);
  clock_.Advance(1);
  EXPECT_EQ(PagesOf(*domain_), kPages + 100);
}

TEST_F(ServerBalloonSchedulerTest, DestroyedDomainIsNotKept) {
  Fill();
  SetTarget(domain_, kPages + 100);
  ASSERT_THAT(host_->DestroyDomain(domain_->id()), IsOk());
  const std::weak_ptr<Domain> gone = domain_;
  domain_.reset();
  EXPECT_TRUE(gone.expired());
  clock_.Advance(10);
}

TEST_F(ServerBalloonSchedulerTest, ThreadsSetTimersOfManyDomainsAtOnce) {
  std::vector<std::shared_ptr<Domain>> domains;
  for (int i = 0; i < 4; ++i) {
    domains.push_back(
        MustCreate(*host_, MakeSpec(absl::StrCat("d", i), 600, 700)));
  }
  Fill();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) SetTarget(domains[i % 4], 601 + i % 50);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& domain : domains) SetTarget(domain, 650);
  Unfill();
  clock_.Advance(3600);
  for (const auto& domain : domains) EXPECT_EQ(PagesOf(*domain), 650);
}

TEST_F(ServerBalloonSchedulerTest, EndsWhileTimersRun) {
  Fill();
  SetTarget(domain_, kPages + 100);
  scheduler_.reset();
  EXPECT_EQ(RetriesOf(*domain_), 2u);
}

TEST(SystemClockTest, AdvancesAndWakesTheSleeper) {
  Clock& clock = *SystemClock();
  absl::Mutex mu;
  bool never = false;
  const Clock::Time until = clock.Now() + std::chrono::milliseconds(1);
  {
    absl::MutexLock lock(&mu);
    clock.Await(&mu, absl::Condition(&never), until);
  }
  EXPECT_GE(clock.Now(), until);
  bool always = true;
  absl::MutexLock lock(&mu);
  clock.Await(&mu, absl::Condition(&always), Clock::Time::max());
}

}  // namespace
}  // namespace simvisor::server
