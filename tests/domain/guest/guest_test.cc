// A guest without a domain, on a hypervisor that a test can make fail.

#include "domain/guest/guest.h"

#include <cstdint>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "domain/guest/config_notes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/booted_guest.h"
#include "tests/support/change_permit.h"
#include "tests/support/e820_testing.h"

namespace simvisor {
namespace {

using testing::_;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const DomainIdentity kDomain(DomainId(1), "");
const Context kContext(kDomain, "test");

BuildInput InputOf(const Abi& abi, BalloonRoom room = BalloonRoom::kFaithful) {
  BuildInput input;
  input.abi = &abi;
  input.name = "guest";
  // A hole at 8 MiB, and room for as much again.
  input.config.e820 = MakeMap({Ram(0, 8 * kMiB), Reserved(8 * kMiB, 9 * kMiB),
                               Ram(9 * kMiB, 129 * kMiB)});
  input.config.p2m.balloon_room = room;
  input.memory = PageCount(16384);
  input.ceiling = kNoCeiling;
  return input;
}

// Everything that a failed operation must leave as it was.
struct GuestFigures {
  uint64_t free, balloon, list_pages, current;
  std::vector<P2mRun> runs;

  friend bool operator==(const GuestFigures&, const GuestFigures&) = default;
};

GuestFigures GuestFiguresOf(const BootedGuest& on) {
  GuestFigures figures = {on.guest->free_pages().count().value(),
                          on.guest->balloon().size().value(),
                          on.guest->list_pages().size().value(),
                          on.hypervisor.current.value(),
                          {}};
  const P2mWords& words = on.memory->words();
  for (Pfn at(0); at < words.size();) {
    figures.runs.push_back(words.RunAt(at, words.size(), RunMerge::kByFrame));
    at = figures.runs.back().pfns.end();
  }
  return figures;
}

class GuestTest : public testing::TestWithParam<const Abi*> {};

INSTANTIATE_TEST_SUITE_P(Abis, GuestTest,
                         testing::Values(&kAbiX86_64, &kAbiX86_32Pae),
                         [](const auto& abi) {
                           return abi.param == &kAbiX86_64 ? "X86_64" : "Pae";
                         });

TEST_P(GuestTest, BootMovesFramesFromUnderHolesAndTellsTheM2p) {
  BootedGuest on(InputOf(*GetParam()));
  on.Boot();
  EXPECT_EQ(on.guest->at_boot().remapped.value(), 256);
  EXPECT_EQ(on.guest->at_boot().released.value(), 0);
  EXPECT_EQ(on.hypervisor.current.value(), 16384);
  EXPECT_EQ(on.memory->words().Lookup(Pfn(0x800)).Class(), P2mClass::kIdentity);
  EXPECT_THAT(on.Findings(), IsEmpty());
}

TEST_P(GuestTest, APageWithoutAUseIsFound) {
  BootedGuest on(InputOf(*GetParam()));
  on.Boot();
  const Pfn lost = on.guest->free_pages().set().extents().begin()->first;
  on.guest->free_pages().Remove({lost, PageCount(1)});
  EXPECT_THAT(on.Findings(),
              ElementsAre(HasSubstr("pages above the first MiB are RAM")));
}

TEST_P(GuestTest, BootWithoutPagesLeavesTheImageAsItWas) {
  class NoGuestPage : public AllocationFaults {
   public:
    bool FailNow(AllocationSite site) override {
      return fail && site == AllocationSite::kGuestPage;
    }
    bool fail = false;
  } faults;
  BuildInput input = InputOf(*GetParam());
  input.faults = &faults;
  BootedGuest on(input);
  faults.fail = true;
  const PageCount free = on.image->free_pages().count();
  EXPECT_THAT(Guest::Boot(kContext, *on.image, *on.memory, on.hypervisor),
              IsError(absl::StatusCode::kResourceExhausted,
                      Reason::kGuestMemoryExhausted, _));
  EXPECT_EQ(on.image->free_pages().count(), free);
  faults.fail = false;
  on.Boot();
  EXPECT_THAT(on.Findings(), IsEmpty());
}

TEST_P(GuestTest, BootWithoutMemoryOfTheDaemonLeavesNoComputedPages) {
  BootedGuest on(InputOf(*GetParam()));
  on.hypervisor.throws = true;
  EXPECT_THROW(
      Guest::Boot(kContext, *on.image, *on.memory, on.hypervisor).IgnoreError(),
      std::bad_alloc);
  EXPECT_EQ(on.memory->list_pages().size().value(), 0);
  std::string byte(1, 'x');
  on.memory->Read(Pfn(300), 0, absl::MakeSpan(byte));
  EXPECT_EQ(byte[0], '\0');
}

TEST_P(GuestTest, ImageWhoseFreePageIsNotRamIsFound) {
  BootedGuest on(InputOf(*GetParam()));
  std::vector<std::string> found;
  Findings findings(DomainId(1), found);
  on.image->Check(findings);
  EXPECT_THAT(found, IsEmpty());
  on.memory->words().Store(kPermit, Pfn(9000), P2mWord::Invalid());
  on.image->Check(findings);
  EXPECT_THAT(found, ElementsAre(HasSubstr("free pfn 0x2328")));
}

TEST_P(GuestTest, PagesGoOutAndComeBack) {
  BootedGuest on(InputOf(*GetParam()));
  on.Boot();
  const PageCount room = on.guest->balloon().size();
  PageCount moved;
  ASSERT_THAT(on.MoveDown(PageCount(5000), &moved), IsOk());
  EXPECT_EQ(moved.value(), 5000);
  EXPECT_EQ(on.hypervisor.current.value(), 16384 - 5000);
  EXPECT_EQ(on.guest->balloon().size(), room + moved);
  EXPECT_THAT(on.Findings(), IsEmpty());
  on.hypervisor.claimed = PageCount(6000);
  on.hypervisor.longest = PageCount(7);
  moved = PageCount(0);
  ASSERT_THAT(on.guest->MoveUp(PageCount(6000), on.hypervisor, &moved), IsOk());
  EXPECT_EQ(on.hypervisor.current.value(), 16384 + 1000);
  EXPECT_THAT(on.Findings(), IsEmpty());
}

TEST_P(GuestTest, MoveThatIsStoppedLeavesPagesWhereTheyAre) {
  BootedGuest on(InputOf(*GetParam()));
  on.Boot();
  const GuestFigures before = GuestFiguresOf(on);
  PageCount moved;
  on.hypervisor.looks_left = 0;
  EXPECT_EQ(on.MoveDown(PageCount(100), &moved).code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(on.guest->MoveUp(PageCount(100), on.hypervisor, &moved).code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(moved.value(), 0);
  EXPECT_EQ(GuestFiguresOf(on), before);
  EXPECT_THAT(on.Findings(), IsEmpty());
}

TEST_P(GuestTest, MoveUpEndsWhenNoFrameIsLeft) {
  BootedGuest on(InputOf(*GetParam()));
  on.Boot();
  on.hypervisor.claimed = PageCount(11);
  PageCount moved;
  EXPECT_THAT(on.guest->MoveUp(PageCount(50), on.hypervisor, &moved), IsOk());
  EXPECT_EQ(moved.value(), 11);
  EXPECT_THAT(on.Findings(), IsEmpty());
}

TEST_P(GuestTest, AbandonedRangeLeavesEverythingButPagesOfTheList) {
  BootedGuest on(InputOf(*GetParam()));
  on.Boot();
  const GuestFigures before = GuestFiguresOf(on);
  auto plan = on.guest->PlanRange(kContext, {Pfn(5000), PageCount(900)},
                                  RangeFill::Missing(), RamPolicy::kRelease,
                                  on.hypervisor);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(GuestFiguresOf(on), before);
  ASSERT_THAT(on.guest->PrepareRange(kContext, *plan), IsOk());
  EXPECT_EQ(on.guest->free_pages().count().value(), before.free - 900);
  on.guest->AbandonRange(*plan);
  EXPECT_EQ(GuestFiguresOf(on), before);
  EXPECT_THAT(on.Findings(), IsEmpty());
}

TEST_P(GuestTest, FramesOfARangeAreReleasedKeptAndPutBack) {
  BootedGuest on(InputOf(*GetParam()));
  on.Boot();
  const auto set = [&](PfnExtent pfns, RangeFill fill, RamPolicy policy) {
    auto plan =
        on.guest->PlanRange(kContext, pfns, fill, policy, on.hypervisor);
    ASSERT_THAT(plan, IsOk());
    ASSERT_THAT(on.guest->PrepareRange(kContext, *plan), IsOk());
    EXPECT_EQ(on.guest->CommitRange(*plan, on.hypervisor).marked, pfns.count);
  };
  set({Pfn(5000), PageCount(10)}, RangeFill::Missing(), RamPolicy::kRelease);
  EXPECT_EQ(on.hypervisor.current.value(), 16384 - 10);
  EXPECT_THAT(on.Findings(), IsEmpty());
  const Mfn kept(on.memory->words().Lookup(Pfn(6000)).Number());
  set({Pfn(6000), PageCount(4)}, RangeFill::Identity(), RamPolicy::kKeep);
  EXPECT_EQ(on.hypervisor.unplaced.size().value(), 4);
  EXPECT_THAT(on.Findings(), IsEmpty());
  set({Pfn(7000), PageCount(1)}, RangeFill::Missing(), RamPolicy::kRelease);
  set({Pfn(7000), PageCount(1)}, RangeFill::Ram(kept), RamPolicy::kRefuse);
  EXPECT_EQ(on.hypervisor.m2p(kept), Pfn(7000));
  EXPECT_EQ(on.hypervisor.unplaced.size().value(), 3);
  EXPECT_THAT(on.Findings(), IsEmpty());
}

TEST_P(GuestTest, ForeignFramesAreCountedBeforeTheWordIsStored) {
  BootedGuest on(InputOf(*GetParam()));
  on.Boot();
  PageCount moved;
  ASSERT_THAT(on.MoveDown(PageCount(10), &moved), IsOk());
  const Pfn hole = on.guest->balloon().list().Next(PageCount(1)).front().first;
  on.hypervisor.foreign.Add({Mfn(77), PageCount(1)});
  const GuestFigures before = GuestFiguresOf(on);
  EXPECT_THAT(on.guest->MapForeign(kContext, {hole, Mfn(78)}, on.hypervisor),
              IsError(absl::StatusCode::kFailedPrecondition,
                      Reason::kFrameNotForeign, _));
  EXPECT_EQ(GuestFiguresOf(on), before);
  ASSERT_THAT(on.guest->MapForeign(kContext, {hole, Mfn(77)}, on.hypervisor),
              IsOk());
  EXPECT_EQ(on.hypervisor.mappings.at(Mfn(77)), 1);
  EXPECT_EQ(on.memory->words().Lookup(hole), P2mWord::Foreign(Mfn(77)));
  std::vector<Mfn> mfns;
  ASSERT_THAT(on.guest->UnmapForeign(kPermit, kContext, hole, mfns), IsOk());
  EXPECT_THAT(mfns, ElementsAre(Mfn(77)));
  EXPECT_EQ(GuestFiguresOf(on), before);
}

TEST_P(GuestTest, ADyingGuestGivesUpEveryMapping) {
  BootedGuest on(InputOf(*GetParam()));
  on.Boot();
  PageCount moved;
  ASSERT_THAT(on.MoveDown(PageCount(10), &moved), IsOk());
  on.hypervisor.foreign.Add({Mfn(70), PageCount(10)});
  uint64_t mfn = 70;
  for (const PfnExtent& pfns : on.guest->balloon().list().Next(PageCount(10))) {
    for (PageCount i; i < pfns.count; i += PageCount(1)) {
      ASSERT_THAT(on.guest->MapForeign(kContext, {pfns.first + i, Mfn(mfn++)},
                                       on.hypervisor),
                  IsOk());
    }
  }
  EXPECT_EQ(on.hypervisor.mappings.size(), 10u);
  on.guest->DropForeign(on.hypervisor);
  EXPECT_THAT(on.hypervisor.mappings, IsEmpty());
}

TEST_P(GuestTest, NotesOfAGuestMakeTheSameGuest) {
  BootedGuest on(InputOf(*GetParam(), BalloonRoom::kCompact));
  on.Boot();
  PageCount moved;
  ASSERT_THAT(on.MoveDown(PageCount(3000), &moved), IsOk());
  StateWriter notes;
  ASSERT_THAT(on.guest->Encode(notes, NeverStop), IsOk());
  StateReader in(notes.bytes());
  const Pfn end = on.guest->list().last_pfn();
  const PfnSet ram = in.GetSet("ram", end);
  EXPECT_EQ(ram.size(), on.hypervisor.current);
  auto made = Guest::Decode({.id = DomainId(2),
                             .config = on.guest->config(),
                             .ram = ram,
                             .end = end,
                             .target = on.guest->balloon().driver().target(),
                             .notes = {}},
                            *GetParam(), in, NeverStop);
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(made->guest->free_pages().set().extents(),
            on.guest->free_pages().set().extents());
  EXPECT_EQ(made->guest->balloon().size(), on.guest->balloon().size());
  EXPECT_EQ(made->guest->list_pages().size(), on.guest->list_pages().size());
  // It has no frames until its pages have come.
  EXPECT_EQ(CountWords(*made->words).ram, 0);
  StateWriter again;
  const P2mWords& words = on.memory->words();
  for (const auto& [first, last] : ram.extents()) {
    for (Pfn at = first; at < last; at += PageCount(1)) {
      made->words->Store(kPermit, at, words.Lookup(at));
    }
  }
  ASSERT_THAT(made->guest->Encode(again, NeverStop), IsOk());
  EXPECT_EQ(again.bytes(), notes.bytes());
}

// Its pages are the kernel's, and never come into the free list.
TEST_P(GuestTest, NotesWithTheFirstMiBInTheBalloonAreRefused) {
  BootedGuest on(InputOf(*GetParam()));
  on.Boot();
  on.memory->words().Store(kPermit, Pfn(0x10), P2mWord::Invalid());
  on.guest->balloon().list().Push({Pfn(0x10), PageCount(1)});
  StateWriter notes;
  ASSERT_THAT(on.guest->Encode(notes, NeverStop), IsOk());
  StateReader in(notes.bytes());
  const Pfn end = on.guest->list().last_pfn();
  const PfnSet ram = in.GetSet("ram", end);
  EXPECT_THAT(Guest::Decode({.id = DomainId(2),
                             .config = on.guest->config(),
                             .ram = ram,
                             .end = end,
                             .target = on.guest->balloon().driver().target(),
                             .notes = {}},
                            *GetParam(), in, NeverStop)
                  .status(),
              IsError(absl::StatusCode::kInvalidArgument,
                      Reason::kImageMalformed, HasSubstr("lies below 1 MiB")));
}

}  // namespace
}  // namespace simvisor
