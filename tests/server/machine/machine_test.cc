// What follows a change of the machine.

#include "server/machine/machine.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/host_testing.h"

namespace simvisor::server {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

constexpr uint64_t kGuestPages = 3000;
constexpr ChangePoints kPoints = {FaultPoint::kBalloonBegin,
                                  FaultPoint::kBalloonMoved};

class ServerMachineTest : public testing::Test {
 protected:
  MachineOptions Options() {
    MachineOptions options;
    options.clock = &clock_;
    options.faults = &faults_;
    options.trim_rule = HeapTrimRule(/*many=*/1, HeapTrimRule::kManyPages);
    options.trim = [this] { ++trims_; };
    return options;
  }
  std::shared_ptr<Domain> Create(const std::string& name,
                                 uint64_t pages = kGuestPages) {
    auto domain = machine_.Create(MakeSpec(name, pages, pages + 1000),
                                  /*start_paused=*/false, NeverStop);
    EXPECT_THAT(domain, IsOk());
    return *std::move(domain);
  }
  // Sets a target for which there are not enough frames yet, then frees them.
  absl::Status AskForMore(const std::shared_ptr<Domain>& domain,
                          absl::Status result) {
    const auto filler = MustCreate(
        machine_.host(), MakeSpec("all", machine_.host().Info().free.value()));
    const absl::Status status = machine_.Change(domain, [&](Domain& guest) {
      EXPECT_THAT(guest.balloon().SetTarget({"set memory target"},
                                            PageCount(kGuestPages + 100)),
                  IsOk());
      return result;
    });
    EXPECT_THAT(machine_.host().DestroyDomain(filler), IsOk());
    EXPECT_EQ(domain->Memory().current, PageCount(kGuestPages));
    return status;
  }
  void ExpectTrims(int times) {
    while (trims_.load() < times) std::this_thread::yield();
    EXPECT_EQ(trims_.load(), times);
  }
  void FailAt(FaultPoint point) {
    ASSERT_THAT(
        faults_.Add({.point = point, .domain = "", .code = Code::kUnavailable}),
        IsOk());
  }

  FakeClock clock_{3};
  FaultInjector faults_{true};
  std::atomic<int> trims_ = 0;
  Machine machine_{MakeHost(20000), Options()};
};

TEST_F(ServerMachineTest, DriverThatAChangeWakesContinuesOnItsTimer) {
  const auto domain = Create("a");
  EXPECT_THAT(AskForMore(domain, absl::OkStatus()), IsOk());
  clock_.Advance(2);
  EXPECT_EQ(domain->Memory().current, PageCount(kGuestPages + 100));
}

TEST_F(ServerMachineTest, DriverContinuesAlthoughTheChangeFailed) {
  const auto domain = Create("a");
  EXPECT_EQ(AskForMore(domain, absl::CancelledError("late")).code(),
            Code::kCancelled);
  clock_.Advance(2);
  EXPECT_EQ(domain->Memory().current, PageCount(kGuestPages + 100));
}

TEST_F(ServerMachineTest, LoadThatAChangeStartsRuns) {
  const auto domain = Create("a");
  EXPECT_FALSE(domain->balloon().timers().has_load);
  ASSERT_THAT(machine_.Change(domain,
                              [](Domain& guest) {
                                return guest.load().Start(
                                    {"start a load"},
                                    {.pages_per_second = 1000,
                                     .working_set = PageCount(10)});
                              }),
              IsOk());
  EXPECT_TRUE(domain->balloon().timers().has_load);
  clock_.AdvanceBy(std::chrono::milliseconds(10));
  EXPECT_EQ(domain->load().Find()->writes, 10u);
}

TEST_F(ServerMachineTest, ChangeIsBetweenItsPoints) {
  const auto domain = Create("a");
  int changes = 0;
  const auto change = [&changes](Domain&) {
    ++changes;
    return absl::OkStatus();
  };
  EXPECT_THAT(machine_.Change(domain, kPoints, change), IsOk());
  EXPECT_EQ(changes, 1);
  FailAt(FaultPoint::kBalloonMoved);
  EXPECT_THAT(machine_.Change(domain, kPoints, change),
              IsError(Code::kUnavailable, Reason::kFaultInjected,
                      HasSubstr("balloon.moved of domain \"a\"")));
  EXPECT_EQ(changes, 2);
  FailAt(FaultPoint::kBalloonBegin);
  EXPECT_THAT(machine_.Change(domain, kPoints, change),
              IsError(Code::kUnavailable, Reason::kFaultInjected,
                      HasSubstr("balloon.begin of domain \"a\"")));
  EXPECT_EQ(changes, 2);
}

TEST_F(ServerMachineTest, PointAfterAChangeThatFailedIsNotReached) {
  const auto domain = Create("a");
  FailAt(FaultPoint::kBalloonMoved);
  EXPECT_EQ(machine_
                .Change(domain, kPoints,
                        [](Domain&) { return absl::CancelledError("late"); })
                .code(),
            Code::kCancelled);
  EXPECT_EQ(faults_.List()[0].hits, 0u);
}

TEST_F(ServerMachineTest, DestroyedDomainTrimsTheHeap) {
  const auto domain = Create("a");
  const auto freed = machine_.Destroy(domain);
  ASSERT_THAT(freed, IsOk());
  EXPECT_EQ(*freed, PageCount(kGuestPages));
  ExpectTrims(1);
}

TEST_F(ServerMachineTest, FailedDestroyTrimsNothing) {
  Create("a");
  EXPECT_EQ(machine_.Destroy(*machine_.host().Find(kDom0Id)).status().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(trims_.load(), 0);
}

TEST_F(ServerMachineTest, NothingIsLeftOfADomainWhoseCreationFails) {
  const PageCount owned = machine_.host().Info().owned;
  FailAt(FaultPoint::kCreateBuilt);
  EXPECT_THAT(machine_.Create(MakeSpec("a", kGuestPages),
                              /*start_paused=*/false, NeverStop),
              IsError(Code::kUnavailable, Reason::kFaultInjected,
                      HasSubstr("create.built of domain \"a\"")));
  ExpectTrims(1);
  ExpectClean(machine_.host(), owned.value());
  FailAt(FaultPoint::kCreateBegin);
  EXPECT_THAT(machine_.Create(MakeSpec("a", kGuestPages),
                              /*start_paused=*/false, NeverStop),
              IsError(Code::kUnavailable, Reason::kFaultInjected,
                      HasSubstr("create.begin of domain \"a\"")));
  ExpectTrims(1);
}

TEST_F(ServerMachineTest, EndsWhileItsTimersRun) {
  const auto domain = Create("a");
  EXPECT_THAT(AskForMore(domain, absl::OkStatus()), IsOk());
}

}  // namespace
}  // namespace simvisor::server
