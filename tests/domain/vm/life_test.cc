// Every need against every state: which refusal comes first, and what it says.

#include "domain/vm/life.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

const DomainIdentity kSeven(DomainId(7), "");
const Context kAsked(kSeven, "do it");

constexpr char kFine[] = "";
constexpr char kDying[] = "DOMAIN_DYING";
constexpr char kSuspended[] = "DOMAIN_SUSPENDED";
constexpr char kUnknown[] = "GUEST_KERNEL_UNKNOWN";
constexpr char kNotBooted[] = "DOMAIN_NOT_BOOTED";
constexpr char kNotRunning[] = "DOMAIN_NOT_RUNNING";

// A life that has come to the state that `lead` leads it to.
struct Led {
  explicit Led(const std::function<void(Life&)>& lead) { lead(life); }
  LifeEnd end;
  Life life{end};
};

struct State {
  const char* name;
  std::function<void(Life&)> lead;
  // Reasons, in the order of kNeeds.
  std::vector<std::string> refusals;
};

const std::vector<Needs> kNeeds = {Needs::kAlive,
                                   Needs::kBooted,
                                   Needs::kNotSuspended,
                                   Needs::kNotSuspendedOwnKernel,
                                   Needs::kBootedNotSuspended,
                                   Needs::kRunning,
                                   Needs::kCanSuspend,
                                   Needs::kCanStartLoad};

const std::vector<State> kStates = {
    {"built",
     [](Life&) {},
     {kFine, kNotBooted, kFine, kFine, kNotBooted, kNotRunning, kNotRunning,
      kNotRunning}},
    {"foreign kernel",
     [](Life& life) { life.NeverRuns(); },
     {kFine, kUnknown, kFine, kUnknown, kUnknown, kNotRunning, kUnknown,
      kUnknown}},
    {"running",
     [](Life& life) { life.Run(); },
     {kFine, kFine, kFine, kFine, kFine, kFine, kFine, kFine}},
    {"paused",
     [](Life& life) {
       life.Run();
       life.Pause();
     },
     {kFine, kFine, kFine, kFine, kFine, kNotRunning, kNotRunning,
      kNotRunning}},
    {"suspended",
     [](Life& life) {
       life.Run();
       life.Suspend();
     },
     {kFine, kFine, kSuspended, kSuspended, kSuspended, kSuspended, kSuspended,
      kSuspended}},
    {"leaving",
     [](Life& life) {
       life.Run();
       life.Suspend();
       life.BeginHandover(kAsked).IgnoreError();
     },
     {kFine, kFine, kSuspended, kSuspended, kSuspended, kSuspended, kSuspended,
      kSuspended}},
    {"arriving",
     [](Life& life) {
       life.ArrivePaused();
       life.ArriveSuspended();
     },
     {kFine, kFine, kSuspended, kSuspended, kSuspended, kSuspended, kSuspended,
      kSuspended}},
    {"doomed",
     [](Life& life) {
       life.Run();
       life.BeginDestroy(kAsked).IgnoreError();
     },
     {kFine, kFine, kFine, kFine, kFine, kFine, kFine, kFine}},
    {"dying",
     [](Life& life) {
       life.Run();
       life.Suspend();
       life.BeginDying();
     },
     {kDying, kDying, kDying, kDying, kDying, kDying, kDying, kDying}},
    {"gone, of a foreign kernel",
     [](Life& life) {
       life.NeverRuns();
       life.BeginDying();
       life.MarkRelinquished();
     },
     {kDying, kDying, kDying, kDying, kDying, kDying, kDying, kDying}},
};

TEST(LifeTest, EveryNeedInEveryState) {
  for (const State& state : kStates) {
    SCOPED_TRACE(state.name);
    const Led led(state.lead);
    ASSERT_EQ(state.refusals.size(), kNeeds.size());
    for (size_t i = 0; i < kNeeds.size(); ++i) {
      const absl::Status status = led.life.Check(kAsked, kNeeds[i]);
      EXPECT_EQ(ReasonOf(status).value_or(""), state.refusals[i]) << i;
      EXPECT_EQ(status.ok(), state.refusals[i].empty()) << i;
    }
  }
}

TEST(LifeTest, RefusalsSayWhatTheGuestCannotDo) {
  const Led led([](Life&) {});
  const auto text = [&](Needs needs) {
    return std::string(led.life.Check(kAsked, needs).message());
  };
  EXPECT_EQ(text(Needs::kRunning),
            "domain 7: do it: its guest does not run, so its balloon driver "
            "cannot answer; unpause it");
  EXPECT_EQ(text(Needs::kCanSuspend),
            "domain 7: do it: its guest does not run, so it cannot suspend; "
            "unpause it");
  EXPECT_EQ(text(Needs::kCanStartLoad),
            "domain 7: do it: its guest does not run, so it cannot start a "
            "program; unpause it");
  EXPECT_EQ(text(Needs::kBooted),
            "domain 7: do it: its guest has not booted; unpause it");
}

TEST(LifeTest, DyingDomainTellsWhatItWaitsFor) {
  const Led led([](Life& life) { life.BeginDying(); });
  EXPECT_EQ(led.life.Check(kAsked, Needs::kRunning).message(),
            "domain 7 is dying; nothing can be done with it");
  EXPECT_EQ(led.life.Check(kAsked, Needs::kAlive, PageCount(2)).message(),
            "domain 7 is dying until other domains unmap the last 2 of its "
            "frames; nothing can be done with it");
}

TEST(LifeTest, OnlyTheOneWhoSuspendedResumes) {
  Led led([](Life& life) { life.Run(); });
  EXPECT_FALSE(led.life.Resume(0));
  EXPECT_EQ(led.life.Suspend(), 1);
  EXPECT_EQ(led.life.state(), DomainState::kPaused);
  EXPECT_FALSE(led.life.Resume(2));
  EXPECT_TRUE(led.life.suspended());
  EXPECT_TRUE(led.life.Resume(1));
  EXPECT_EQ(led.life.state(), DomainState::kPaused);
  led.life.Run();
  EXPECT_EQ(led.life.Suspend(), 2);
  EXPECT_EQ(led.life.suspension(), 2);
  EXPECT_FALSE(led.life.Resume(1));
}

TEST(LifeTest, HandoverAndDestroyKeepEachOtherOut) {
  Led led([](Life& life) { life.Run(); });
  EXPECT_EQ(ReasonOf(led.life.BeginHandover(kAsked)), kNotRunning);
  const uint64_t suspension = led.life.Suspend();
  EXPECT_THAT(led.life.BeginHandover(kAsked), IsOk());
  EXPECT_EQ(led.life.handover(), Handover::kOutgoing);
  EXPECT_EQ(ReasonOf(led.life.BeginDestroy(kAsked)), "DOMAIN_MIGRATING");
  EXPECT_TRUE(led.life.Resume(suspension));
  EXPECT_EQ(led.life.handover(), Handover::kNone);
  EXPECT_THAT(led.life.BeginDestroy(kAsked), IsOk());
  led.life.Run();
  led.life.Suspend();
  EXPECT_EQ(ReasonOf(led.life.BeginHandover(kAsked)), kDying);
}

TEST(LifeTest, ArrivingDomainIsDestroyedOnlyAfterTheHandover) {
  Led led([](Life& life) {
    life.ArrivePaused();
    life.ArriveSuspended();
  });
  EXPECT_EQ(led.life.handover(), Handover::kIncoming);
  EXPECT_EQ(led.life.suspension(), 1);
  EXPECT_EQ(ReasonOf(led.life.BeginDestroy(kAsked)), "DOMAIN_MIGRATING");
  led.life.EndHandover();
  EXPECT_TRUE(led.life.suspended());
  EXPECT_THAT(led.life.BeginDestroy(kAsked), IsOk());
}

TEST(LifeTest, EndIsToldInTwoSteps) {
  Led led([](Life& life) { life.Run(); });
  EXPECT_TRUE(led.life.has_run());
  EXPECT_FALSE(led.end.dying());
  led.life.BeginDying();
  EXPECT_TRUE(led.end.dying());
  EXPECT_FALSE(led.end.relinquished());
  EXPECT_FALSE(led.life.has_run());
  led.life.MarkRelinquished();
  EXPECT_TRUE(led.end.relinquished());
}

TEST(LifeTest, PauseIsForAGuestThatRuns) {
  Led led([](Life&) {});
  EXPECT_FALSE(led.life.Pause());
  EXPECT_TRUE(led.life.built());
  led.life.Run();
  EXPECT_TRUE(led.life.Pause());
  EXPECT_FALSE(led.life.Pause());
}

}  // namespace
}  // namespace simvisor
