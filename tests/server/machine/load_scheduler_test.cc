#include "server/machine/load_scheduler.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/host_testing.h"

namespace simvisor::server {
namespace {

using std::chrono::milliseconds;

class ServerLoadSchedulerTest : public testing::Test {
 protected:
  ServerLoadSchedulerTest() { scheduler_.emplace(&clock_); }

  std::shared_ptr<Domain> Create(const std::string& name) {
    return MustCreate(*host_, MakeSpec(name, 3000));
  }
  void Start(const std::shared_ptr<Domain>& domain, uint64_t pages_per_second) {
    ASSERT_THAT(domain->load().Start({"start a load"},
                                     {.pages_per_second = pages_per_second,
                                      .working_set = PageCount(100)}),
                IsOk());
    scheduler_->AddDomain(domain);
  }
  static uint64_t WritesOf(Domain& domain) {
    return domain.load().Find()->writes;
  }
  // Lets ticks pass one by one.
  void Tick(int ticks) {
    for (int i = 0; i < ticks; ++i) clock_.AdvanceBy(milliseconds(10));
  }

  FakeClock clock_;
  const std::unique_ptr<Host> host_ = MakeHost(20000);
  std::shared_ptr<Domain> domain_ = Create("a");
  std::optional<LoadScheduler> scheduler_;
};

TEST_F(ServerLoadSchedulerTest, WritesComeExactlyAtTheirRate) {
  Start(domain_, 1234);
  EXPECT_EQ(WritesOf(*domain_), 0u);
  Tick(1);
  EXPECT_EQ(WritesOf(*domain_), 12u);
  Tick(99);
  EXPECT_EQ(WritesOf(*domain_), 1234u);
  Tick(900);
  EXPECT_EQ(WritesOf(*domain_), 12340u);
  EXPECT_EQ(domain_->load().Check({"check its load"})->mismatches,
            PageCount(0));
}

TEST_F(ServerLoadSchedulerTest, LoadsDoNotWaitForABusyDomain) {
  const auto other = Create("b");
  Start(domain_, 1000);
  Start(other, 1000);
  domain_->audit().Lock();
  Tick(5);
  EXPECT_EQ(WritesOf(*other), 50u);
  domain_->audit().Unlock();
  EXPECT_EQ(WritesOf(*domain_), 0u);
  // It now does the writes that it could not do before.
  Tick(1);
  EXPECT_EQ(WritesOf(*domain_), 60u);
  EXPECT_EQ(WritesOf(*other), 60u);
}

TEST_F(ServerLoadSchedulerTest, SlowRatesAddUp) {
  Start(domain_, 1);
  Tick(99);
  EXPECT_EQ(WritesOf(*domain_), 0u);
  Tick(1);
  EXPECT_EQ(WritesOf(*domain_), 1u);
  Tick(200);
  EXPECT_EQ(WritesOf(*domain_), 3u);
}

TEST_F(ServerLoadSchedulerTest, NothingIsDoneBetweenTicks) {
  Start(domain_, 1000);
  clock_.AdvanceBy(milliseconds(9));
  EXPECT_EQ(WritesOf(*domain_), 0u);
  clock_.AdvanceBy(milliseconds(1));
  EXPECT_EQ(WritesOf(*domain_), 10u);
}

TEST_F(ServerLoadSchedulerTest,
       WhatIsLateByMoreThanATenthOfASecondIsForgotten) {
  Start(domain_, 1000);
  clock_.Advance(60);
  EXPECT_EQ(WritesOf(*domain_), 100u);
  Tick(1);
  EXPECT_EQ(WritesOf(*domain_), 110u);
}

TEST_F(ServerLoadSchedulerTest, PausedGuestOwesNothing) {
  Start(domain_, 1000);
  Tick(10);
  ASSERT_THAT(domain_->Pause({"pause"}), IsOk());
  Tick(500);
  EXPECT_EQ(WritesOf(*domain_), 100u);
  ASSERT_THAT(domain_->Unpause({"unpause"}), IsOk());
  scheduler_->AddDomain(domain_);
  EXPECT_EQ(WritesOf(*domain_), 100u);
  Tick(10);
  EXPECT_EQ(WritesOf(*domain_), 200u);
}

TEST_F(ServerLoadSchedulerTest, SuspendedGuestOwesNothing) {
  Start(domain_, 1000);
  ASSERT_THAT(domain_->migration().Suspend({"save"}), IsOk());
  Tick(50);
  EXPECT_EQ(WritesOf(*domain_), 0u);
  ASSERT_THAT(domain_->migration().Resume(
                  {"resume"}, domain_->Info().suspension, /*paused=*/false),
              IsOk());
  scheduler_->AddDomain(domain_);
  Tick(1);
  EXPECT_EQ(WritesOf(*domain_), 10u);
}

TEST_F(ServerLoadSchedulerTest, AddingADomainAgainDoesNotChangeItsPace) {
  Start(domain_, 1000);
  for (int i = 0; i < 100; ++i) {
    clock_.AdvanceBy(milliseconds(5));
    scheduler_->AddDomain(domain_);
  }
  EXPECT_EQ(WritesOf(*domain_), 500u);
}

TEST_F(ServerLoadSchedulerTest, LoadThatFollowsAnotherHasItsOwnRate) {
  Start(domain_, 1000);
  Tick(10);
  EXPECT_EQ(domain_->load().Stop({"stop its load"})->writes, 100u);
  Tick(10);
  Start(domain_, 300);
  Tick(10);
  EXPECT_EQ(WritesOf(*domain_), 30u);
}

TEST_F(ServerLoadSchedulerTest, EachDomainHasItsOwnRate) {
  const auto b = Create("b");
  Start(domain_, 1000);
  clock_.AdvanceBy(milliseconds(5));
  Start(b, 2000);
  clock_.AdvanceBy(milliseconds(5));
  EXPECT_EQ(WritesOf(*domain_), 10u);
  EXPECT_EQ(WritesOf(*b), 10u);
  Tick(10);
  EXPECT_EQ(WritesOf(*domain_), 110u);
  EXPECT_EQ(WritesOf(*b), 210u);
}

TEST_F(ServerLoadSchedulerTest, DomainWithoutALoadIsDropped) {
  scheduler_->AddDomain(domain_);
  Tick(2);
  EXPECT_FALSE(domain_->load().Find().ok());
}

TEST_F(ServerLoadSchedulerTest, DestroyedDomainIsNotKept) {
  Start(domain_, 1000);
  Tick(2);
  ASSERT_THAT(host_->DestroyDomain(domain_->id()), IsOk());
  const std::weak_ptr<Domain> gone = domain_;
  domain_.reset();
  EXPECT_TRUE(gone.expired());
  Tick(2);
}

TEST_F(ServerLoadSchedulerTest, EndsWhileALoadRuns) {
  Start(domain_, 1000);
  Tick(1);
  scheduler_.reset();
  EXPECT_EQ(WritesOf(*domain_), 10u);
}

}  // namespace
}  // namespace simvisor::server
