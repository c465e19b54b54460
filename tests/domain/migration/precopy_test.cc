// Guests that are copied while they run.

#include "domain/migration/precopy.h"

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"
#include "tests/support/precopy_testing.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

class PrecopyTest : public testing::Test {
 protected:
  PrecopyTest()
      : from_(MakeHost(40000)), to_(MakeHost(40000, Placement::kScatter)) {
    spec_.p2m.tools_view = ToolsView::kLinear;
    guest_ = MustCreate(*from_, spec_);
  }

  void Write(uint64_t pfn, absl::string_view text) {
    ASSERT_THAT(guest_->contents().Write({"write"}, Pfn(pfn), 0, text), IsOk());
  }

  std::unique_ptr<Host> from_, to_;
  DomainSpec spec_ = MakeSpec("moving", 5001, 9000);
  std::shared_ptr<Domain> guest_;
};

TEST_F(PrecopyTest, IdleGuestMovesInOneLivePassAndTheLast) {
  const auto moved = MoveGuest(guest_, *to_, spec_, [] {});
  ASSERT_THAT(moved, IsOk());
  EXPECT_EQ(moved->passes, 2u);
  EXPECT_EQ(moved->twin->Info().handover, Handover::kIncoming);
  EXPECT_TRUE(moved->twin->Info().suspended);
  ExpectSame(*guest_, *moved->twin);
  ASSERT_THAT(ResumeGuest(*moved->twin), IsOk());
  EXPECT_EQ(moved->twin->Info().handover, Handover::kNone);
  EXPECT_EQ(moved->twin->Info().state, DomainState::kRunning);
  ExpectSamePages(*guest_, *moved->twin);
  EXPECT_THAT(to_->Audit().findings, testing::IsEmpty());
}

TEST_F(PrecopyTest, BusyGuestIsSuspendedAfterFivePasses) {
  uint64_t n = 0;
  const auto moved = MoveGuest(guest_, *to_, spec_, [&] {
    for (int i = 0; i < 100; ++i, ++n) {
      Write(n % 4000 + 500, absl::StrCat(n));
    }
  });
  ASSERT_THAT(moved, IsOk());
  EXPECT_EQ(moved->passes, 6u);
  ASSERT_THAT(ResumeGuest(*moved->twin), IsOk());
  ExpectSamePages(*guest_, *moved->twin);
}

TEST_F(PrecopyTest, FewDirtyPagesAreSentLiveInOneMorePass) {
  bool wrote = false;
  const auto moved = MoveGuest(guest_, *to_, spec_, [&] {
    if (!wrote) {
      for (uint64_t i = 0; i < 49; ++i) Write(100 + i, "dirty");
    }
    wrote = true;
  });
  ASSERT_THAT(moved, IsOk());
  // One pass with all pages, one with the 49, and the last.
  EXPECT_EQ(moved->passes, 3u);
}

TEST_F(PrecopyTest, PageThatIsWrittenAndBalloonedOutAndInArrivesEmpty) {
  // The highest free page goes first and comes back last.
  Write(4999, "a secret that went with its frame");
  int step = 0;
  const auto moved = MoveGuest(guest_, *to_, spec_, [&] {
    // Near the end of the first pass, which has sent the page.
    if (++step != 8) return;
    ASSERT_THAT(
        guest_->balloon().Down({"balloon down"}, PageCount(2000), false),
        IsOk());
    ASSERT_THAT(guest_->balloon().Up({"balloon up"}, PageCount(2000), false),
                IsOk());
  });
  ASSERT_THAT(moved, IsOk());
  ASSERT_GT(step, 8);
  ASSERT_EQ(WordOf(*guest_, 4999).Class(), P2mClass::kRam);
  EXPECT_EQ(ReadPage(*moved->twin, Pfn(4999)), std::string(kPageSize, '\0'));
  ASSERT_THAT(ResumeGuest(*moved->twin), IsOk());
  ExpectSamePages(*guest_, *moved->twin);
}

TEST_F(PrecopyTest, PagesThatAreBalloonedOutMeanwhileDoNotReappear) {
  int step = 0;
  const auto moved = MoveGuest(guest_, *to_, spec_, [&] {
    if (++step != 8) return;
    ASSERT_THAT(
        guest_->balloon().Down({"balloon down"}, PageCount(2000), false),
        IsOk());
  });
  ASSERT_THAT(moved, IsOk());
  ExpectSame(*guest_, *moved->twin);
  EXPECT_EQ(to_->Info().owned.value(), kDom0Pages + 3001);
}

TEST_F(PrecopyTest, ListThatTakesNewPagesEndsTheMigrationAndTheGuestRunsOn) {
  for (const ToolsView view : {ToolsView::kTree, ToolsView::kLinear}) {
    // With compact room, the list takes leaves as the balloon fills the room.
    DomainSpec spec = MakeSpec("compact", 3001, 9000);
    spec.p2m = {.tools_view = view, .balloon_room = BalloonRoom::kCompact};
    guest_ = MustCreate(*from_, spec);
    ASSERT_THAT(
        guest_->balloon().SetMaximum({"set maximum memory"}, PageCount(9000)),
        IsOk());
    int step = 0;
    const auto moved = MoveGuest(guest_, *to_, spec, [&] {
      if (++step != 5) return;
      ASSERT_THAT(guest_->balloon().Up({"balloon up"}, PageCount(3000), false),
                  IsOk());
    });
    EXPECT_THAT(moved, IsError(Code::kAborted, Reason::kP2mChanged,
                               HasSubstr("generation")));
    ASSERT_THAT(ResumeGuest(*guest_), IsOk());
    EXPECT_EQ(guest_->Info().state, DomainState::kRunning);
    ExpectClean(*to_, kDom0Pages);
    EXPECT_THAT(from_->Audit().findings, testing::IsEmpty());
    ASSERT_THAT(from_->DestroyDomain(guest_->id()), IsOk());
  }
}

TEST_F(PrecopyTest, GuestThatDirtiesMoreThanTheDowntimeAllowsStays) {
  PrecopyPolicy policy;
  policy.max_passes = 3;
  policy.max_downtime_ms = 1;
  uint64_t n = 0;
  const auto moved = MoveGuest(
      guest_, *to_, spec_,
      [&] {
        for (int i = 0; i < 200; ++i) Write(n++ % 4000 + 500, "busy");
      },
      policy, /*bytes_per_second=*/1000000);
  EXPECT_THAT(moved, IsError(Code::kAborted, Reason::kDowntimeExceeded,
                             HasSubstr("limit is 1 ms")));
  EXPECT_EQ(guest_->Info().state, DomainState::kRunning);
  ExpectClean(*to_, kDom0Pages);
}

TEST_F(PrecopyTest, SecondMigrationIsRefusedWhileOneRuns) {
  auto first = Precopy::Begin(guest_, PrecopyPolicy(), "{}");
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(Precopy::Begin(guest_, PrecopyPolicy(), "{}"),
              IsError(Code::kFailedPrecondition, Reason::kDomainMigrating,
                      HasSubstr("under way")));
  first->reset();
  EXPECT_THAT(Precopy::Begin(guest_, PrecopyPolicy(), "{}"), IsOk());
}

TEST_F(PrecopyTest, GuestIsNotSavedAndMigratedAtTheSameTime) {
  auto precopy = Precopy::Begin(guest_, PrecopyPolicy(), "{}");
  ASSERT_THAT(precopy, IsOk());
  EXPECT_THAT(guest_->migration().Suspend({"save"}),
              IsError(Code::kFailedPrecondition, Reason::kDomainMigrating,
                      HasSubstr("save")));
  precopy->reset();
  ASSERT_THAT(guest_->migration().Suspend({"save"}), IsOk());
  EXPECT_THAT(
      Precopy::Begin(guest_, PrecopyPolicy(), "{}"),
      IsError(Code::kFailedPrecondition, Reason::kDomainSuspended, testing::_));
}

TEST_F(PrecopyTest, DoomedGuestIsNotHandedOver) {
  ASSERT_THAT(guest_->migration().Suspend({"migrate"}), IsOk());
  ASSERT_THAT(guest_->BeginDestroy({"destroy"}), IsOk());
  EXPECT_THAT(
      guest_->migration().BeginHandover({"handover"}),
      IsError(Code::kFailedPrecondition, Reason::kDomainDying, testing::_));
}

TEST_F(PrecopyTest, GuestThatDoesNotRunIsRefused) {
  ASSERT_THAT(guest_->Pause({"pause"}), IsOk());
  EXPECT_THAT(Precopy::Begin(guest_, PrecopyPolicy(), "{}"),
              IsError(Code::kFailedPrecondition, Reason::kDomainNotRunning,
                      HasSubstr("unpause")));
}

TEST_F(PrecopyTest, GuestThatIsDestroyedMeanwhileLeavesNothing) {
  int step = 0;
  const auto moved = MoveGuest(guest_, *to_, spec_, [&] {
    if (++step != 5) return;
    ASSERT_THAT(from_->DestroyDomain(guest_->id()), IsOk());
  });
  EXPECT_THAT(moved, IsError(Code::kFailedPrecondition, Reason::kDomainDying,
                             testing::_));
  ExpectClean(*to_, kDom0Pages);
}

TEST_F(PrecopyTest, GuestInHandoverCannotBeDestroyedOrRun) {
  EXPECT_THAT(guest_->migration().BeginHandover({"handover"}),
              IsError(Code::kFailedPrecondition, Reason::kDomainNotRunning,
                      HasSubstr("not suspended")));
  ASSERT_THAT(guest_->migration().Suspend({"migrate"}), IsOk());
  ASSERT_THAT(guest_->migration().BeginHandover({"handover"}), IsOk());
  EXPECT_THAT(from_->DestroyDomain(guest_->id()),
              IsError(Code::kFailedPrecondition, Reason::kDomainMigrating,
                      HasSubstr("migrate-resolve")));
  EXPECT_THAT(from_->Find(std::string("moving")), IsOk());
  EXPECT_THAT(
      guest_->Unpause({"unpause"}),
      IsError(Code::kFailedPrecondition, Reason::kDomainSuspended, testing::_));
  EXPECT_THAT(
      guest_->balloon().SetTarget({"set memory target"}, PageCount(4000)),
      IsError(Code::kFailedPrecondition, Reason::kDomainSuspended, testing::_));
  guest_->migration().EndHandover();
  EXPECT_THAT(from_->DestroyDomain(guest_->id()), IsOk());
}

}  // namespace
}  // namespace simvisor
