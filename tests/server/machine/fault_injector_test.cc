// The rules of a FaultInjector, without a daemon.

#include "server/machine/fault_injector.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// Does not wait, but records how long each wait would have been.
class NoWaitClock final : public Clock {
 public:
  Time Now() const override { return Time() + std::chrono::hours(1); }
  void Await(absl::Mutex*, const absl::Condition&, Time until) override {
    waits.push_back(
        std::chrono::duration_cast<std::chrono::milliseconds>(until - Now())
            .count());
  }

  std::vector<int64_t> waits;
};

FaultRule ErrorAt(FaultPoint point, const std::string& domain = "") {
  return {.point = point,
          .domain = domain,
          .action = FaultAction::kError,
          .code = absl::StatusCode::kUnavailable};
}

FaultRule DelayAt(FaultPoint point, uint32_t delay_ms) {
  FaultRule rule;
  rule.point = point;
  rule.action = FaultAction::kDelay;
  rule.delay_ms = delay_ms;
  return rule;
}

// One digit for each of `hits` hits of save.piece: 1 if it failed.
std::string Failures(FaultInjector& injector, int hits) {
  std::string failures;
  for (int i = 0; i < hits; ++i) {
    failures += injector.Reach(FaultPoint::kSavePiece, "web").ok() ? '0' : '1';
  }
  return failures;
}

TEST(ServerFaultPointsTest, EveryPointHasAUniqueNameAndADescription) {
  for (const FaultPointInfo& info : AllFaultPoints()) {
    EXPECT_EQ(ParseFaultPoint(info.name), info.point) << info.name;
    EXPECT_EQ(FaultPointName(info.point), info.name);
    EXPECT_GT(info.description.size(), 20u) << info.name;
  }
  EXPECT_EQ(ParseFaultPoint("save.nothing"), std::nullopt);
  EXPECT_EQ(ParseFaultPoint(""), std::nullopt);
}

TEST(ServerFaultInjectorTest, WithoutRulesNothingHappens) {
  FaultInjector injector(true);
  for (const FaultPointInfo& info : AllFaultPoints()) {
    EXPECT_THAT(injector.Reach(info.point, "web"), IsOk());
  }
  EXPECT_FALSE(injector.FailNow(AllocationSite::kFrame));
}

TEST(ServerFaultInjectorTest, PointWithoutRulesDoesNotReadTheName) {
  FaultInjector injector(true);
  int reads = 0;
  const auto name = [&reads] {
    ++reads;
    return std::string("web");
  };
  for (const FaultPointInfo& info : AllFaultPoints()) {
    EXPECT_THAT(injector.Reach(info.point, name), IsOk());
  }
  EXPECT_EQ(reads, 0);
  ASSERT_THAT(injector.Add(ErrorAt(FaultPoint::kSavePiece, "web")), IsOk());
  EXPECT_THAT(injector.Reach(FaultPoint::kSaveStored, name), IsOk());
  EXPECT_EQ(reads, 0) << "another point's rule";
  EXPECT_FALSE(injector.Reach(FaultPoint::kSavePiece, name).ok());
  EXPECT_EQ(reads, 1);
  injector.RemoveAll();
  EXPECT_THAT(injector.Reach(FaultPoint::kSavePiece, name), IsOk());
  EXPECT_EQ(reads, 1);
}

TEST(ServerFaultInjectorTest, DisabledInjectorAcceptsNoRules) {
  FaultInjector injector(false);
  EXPECT_THAT(injector.Add(ErrorAt(FaultPoint::kSaveBegin)),
              IsError(absl::StatusCode::kFailedPrecondition,
                      Reason::kFaultInjectionDisabled,
                      AllOf(HasSubstr("--enable-fault-injection"),
                            HasSubstr("simvisor fault enable"))));
  EXPECT_THAT(injector.Reach(FaultPoint::kSaveBegin, "web"), IsOk());
}

TEST(ServerFaultInjectorTest, IsTurnedOnAndOffWhileItRuns) {
  FaultInjector injector(false);
  EXPECT_EQ(injector.Disable(), std::nullopt);
  EXPECT_TRUE(injector.Enable());
  EXPECT_FALSE(injector.Enable());
  ASSERT_THAT(injector.Add(ErrorAt(FaultPoint::kSaveBegin)), IsOk());
  ASSERT_THAT(injector.Add(ErrorAt(FaultPoint::kSaveStored)), IsOk());
  EXPECT_FALSE(injector.Reach(FaultPoint::kSaveBegin, "web").ok());
  EXPECT_EQ(injector.Disable(), 2u);
  EXPECT_FALSE(injector.enabled());
  EXPECT_THAT(injector.Reach(FaultPoint::kSaveBegin, "web"), IsOk());
  EXPECT_FALSE(injector.Add(ErrorAt(FaultPoint::kSaveBegin)).ok());
}

TEST(ServerFaultInjectorTest, AllocationsMayFailOnlyWhereARuleIs) {
  FaultInjector injector(true);
  EXPECT_FALSE(injector.MayFail(AllocationSite::kFrame));
  ASSERT_THAT(injector.Add(ErrorAt(FaultPoint::kFrameAllocate)), IsOk());
  EXPECT_TRUE(injector.MayFail(AllocationSite::kFrame));
  EXPECT_FALSE(injector.MayFail(AllocationSite::kGuestPage));
  EXPECT_TRUE(injector.FailNow(AllocationSite::kFrame));
  injector.RemoveAll();
  EXPECT_FALSE(injector.MayFail(AllocationSite::kFrame));
}

TEST(ServerFaultInjectorTest, ErrorNamesPointRuleAndDomain) {
  FaultInjector injector(true);
  ASSERT_THAT(injector.Add(ErrorAt(FaultPoint::kSaveBegin)), IsOk());
  const auto id = injector.Add(ErrorAt(FaultPoint::kSavePiece));
  ASSERT_THAT(id, IsOk());
  EXPECT_EQ(*id, 2u);
  EXPECT_THAT(injector.Reach(FaultPoint::kSavePiece, "web"),
              IsError(absl::StatusCode::kUnavailable, Reason::kFaultInjected,
                      AllOf(HasSubstr("save.piece"), HasSubstr("rule 2"),
                            HasSubstr("\"web\""))));
}

TEST(ServerFaultInjectorTest, RuleWithADomainMatchesOnlyItsName) {
  FaultInjector injector(true);
  ASSERT_THAT(injector.Add(ErrorAt(FaultPoint::kSavePiece, "web")), IsOk());
  EXPECT_THAT(injector.Reach(FaultPoint::kSavePiece, "web2"), IsOk());
  EXPECT_THAT(injector.Reach(FaultPoint::kSavePiece, ""), IsOk());
  EXPECT_THAT(injector.Reach(FaultPoint::kSaveStored, "web"), IsOk());
  EXPECT_EQ(injector.List()[0].hits, 0u);
  EXPECT_FALSE(injector.Reach(FaultPoint::kSavePiece, "web").ok());
}

TEST(ServerFaultInjectorTest, SkipsHitsThenActsAsOftenAsTold) {
  FaultInjector injector(true);
  FaultRule rule = ErrorAt(FaultPoint::kSavePiece);
  rule.skip = 2;
  rule.count = 3;
  ASSERT_THAT(injector.Add(rule), IsOk());
  EXPECT_EQ(Failures(injector, 8), "00111000");
  const auto rules = injector.List();
  ASSERT_EQ(rules.size(), 1u);
  EXPECT_EQ(rules[0].hits, 8u);
  EXPECT_EQ(rules[0].acted, 3u);
  EXPECT_EQ(rules[0].rule.skip, 2u);
}

TEST(ServerFaultInjectorTest, ChanceIsTheSameForTheSameSeed) {
  std::vector<std::string> results;
  for (const uint64_t seed : {7, 7, 8}) {
    FaultInjector injector(true, seed);
    FaultRule rule = ErrorAt(FaultPoint::kSavePiece);
    rule.probability = 0.25;
    ASSERT_THAT(injector.Add(rule), IsOk());
    results.push_back(Failures(injector, 4000));
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_NE(results[0], results[2]);
  const auto failures = std::count(results[0].begin(), results[0].end(), '1');
  EXPECT_GT(failures, 900);
  EXPECT_LT(failures, 1100);
}

TEST(ServerFaultInjectorTest, OnlyActionsCountTowardsTheLimit) {
  FaultInjector injector(true);
  FaultRule rule = ErrorAt(FaultPoint::kSavePiece);
  rule.probability = 0.5;
  rule.count = 10;
  ASSERT_THAT(injector.Add(rule), IsOk());
  const std::string failures = Failures(injector, 1000);
  EXPECT_EQ(std::count(failures.begin(), failures.end(), '1'), 10);
}

TEST(ServerFaultInjectorTest, DelaysAddUpAndAnErrorEndsTheWalk) {
  NoWaitClock clock;
  FaultInjector injector(true, 1, &clock);
  for (const FaultRule& rule :
       {DelayAt(FaultPoint::kSavePiece, 200), ErrorAt(FaultPoint::kSaveStored),
        DelayAt(FaultPoint::kSavePiece, 30), ErrorAt(FaultPoint::kSavePiece),
        DelayAt(FaultPoint::kSavePiece, 60000)}) {
    ASSERT_THAT(injector.Add(rule), IsOk());
  }
  EXPECT_THAT(injector.Reach(FaultPoint::kSavePiece, "web"),
              IsError(absl::StatusCode::kUnavailable, Reason::kFaultInjected,
                      HasSubstr("rule 4")));
  EXPECT_THAT(clock.waits, ElementsAre(200, 30));
  const auto rules = injector.List();
  EXPECT_EQ(rules[0].acted, 1u);
  EXPECT_EQ(rules[1].hits, 0u) << "another point's";
  EXPECT_EQ(rules[4].hits, 0u) << "behind the error";
}

TEST(ServerFaultInjectorTest, DelayAloneLetsTheOperationGoOn) {
  NoWaitClock clock;
  FaultInjector injector(true, 1, &clock);
  ASSERT_THAT(injector.Add(DelayAt(FaultPoint::kCreateBegin, 5)), IsOk());
  EXPECT_THAT(injector.Reach(FaultPoint::kCreateBegin, "web"), IsOk());
  EXPECT_THAT(clock.waits, ElementsAre(5));
}

// Runs `end` once a delay of a minute has begun; it must end long before.
template <typename End>
void EndDelay(FaultInjector& injector, End end) {
  ASSERT_THAT(injector.Add(DelayAt(FaultPoint::kSavePiece, kMaxFaultDelayMs)),
              IsOk());
  const absl::Time start = absl::Now();
  std::thread waiter([&injector] {
    EXPECT_THAT(injector.Reach(FaultPoint::kSavePiece, "web"), IsOk());
  });
  while (injector.List()[0].acted == 0) std::this_thread::yield();
  end();
  waiter.join();
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
}

TEST(ServerFaultInjectorTest, StopEndsDelaysForGood) {
  FaultInjector injector(true);
  EndDelay(injector, [&injector] { injector.Stop(); });
  const absl::Time start = absl::Now();
  EXPECT_THAT(injector.Reach(FaultPoint::kSavePiece, "web"), IsOk());
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
}

TEST(ServerFaultInjectorTest, RemovalOfTheRuleEndsItsDelay) {
  FaultInjector injector(true);
  EndDelay(injector,
           [&injector] { EXPECT_THAT(injector.Remove({1}), IsOk()); });
  EXPECT_TRUE(injector.List().empty());
}

TEST(ServerFaultInjectorTest, RemovesAllNamedRulesOrNone) {
  FaultInjector injector(true);
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(injector.Add(ErrorAt(FaultPoint::kSavePiece)), IsOk());
  }
  EXPECT_THAT(injector.Remove({1, 4}),
              IsError(absl::StatusCode::kNotFound, Reason::kFaultRuleNotFound,
                      HasSubstr("rule 4")));
  EXPECT_EQ(injector.List().size(), 3u);
  const auto removed = injector.Remove({1, 3, 3});
  ASSERT_THAT(removed, IsOk());
  EXPECT_EQ(*removed, 2u);
  ASSERT_EQ(injector.List().size(), 1u);
  EXPECT_EQ(injector.List()[0].id, 2u);
  EXPECT_EQ(injector.RemoveAll(), 1u);
  EXPECT_THAT(injector.Reach(FaultPoint::kSavePiece, "web"), IsOk());
  EXPECT_THAT(injector.Add(ErrorAt(FaultPoint::kSavePiece)), IsOk());
  EXPECT_EQ(injector.List()[0].id, 4u) << "ids are not used again";
}

TEST(ServerFaultInjectorTest, NumberOfRulesIsBounded) {
  FaultInjector injector(true);
  for (size_t i = 0; i < kMaxFaultRules; ++i) {
    ASSERT_THAT(injector.Add(ErrorAt(FaultPoint::kSavePiece)), IsOk());
  }
  EXPECT_THAT(injector.Add(ErrorAt(FaultPoint::kSavePiece)),
              IsError(absl::StatusCode::kResourceExhausted,
                      Reason::kFaultRulesExhausted, HasSubstr("1000")));
}

TEST(ServerFaultInjectorTest, AllocationsFailAtTheirOwnSite) {
  FaultInjector injector(true);
  FaultRule rule = ErrorAt(FaultPoint::kGuestPageAllocate);
  rule.skip = 1;
  rule.count = 1;
  ASSERT_THAT(injector.Add(rule), IsOk());
  EXPECT_FALSE(injector.FailNow(AllocationSite::kFrame));
  EXPECT_FALSE(injector.FailNow(AllocationSite::kAddressSpace));
  EXPECT_FALSE(injector.FailNow(AllocationSite::kGuestPage));
  EXPECT_TRUE(injector.FailNow(AllocationSite::kGuestPage));
  EXPECT_FALSE(injector.FailNow(AllocationSite::kGuestPage));
}

TEST(ServerFaultInjectorDeathTest, CrashKillsTheProcessAtOnce) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  FaultInjector injector(true);
  FaultRule rule = ErrorAt(FaultPoint::kSavePiece, "web");
  rule.action = FaultAction::kCrash;
  ASSERT_THAT(injector.Add(rule), IsOk());
  EXPECT_THAT(injector.Reach(FaultPoint::kSavePiece, "db"), IsOk());
  EXPECT_EXIT(injector.Reach(FaultPoint::kSavePiece, "web").IgnoreError(),
              testing::KilledBySignal(SIGKILL), "");
  rule = ErrorAt(FaultPoint::kFrameAllocate);
  rule.action = FaultAction::kCrash;
  ASSERT_THAT(injector.Add(rule), IsOk());
  EXPECT_EXIT(injector.FailNow(AllocationSite::kFrame),
              testing::KilledBySignal(SIGKILL), "");
}

}  // namespace
}  // namespace simvisor::server
