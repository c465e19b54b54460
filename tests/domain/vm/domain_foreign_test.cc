// Foreign frames: mapping and unmapping them.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/foreign_testing.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Code = absl::StatusCode;

using DomainForeignTest = ForeignTest;

TEST_F(DomainForeignTest, MappedPfnReadsForeignAndIsMissingAfterwards) {
  Map(*mapper_, kHole, *owner_, 300, 3);
  EXPECT_EQ(WordOf(*mapper_, kHole + 2),
            P2mWord::Foreign(Mfn(FrameAt(*owner_, 302))));
  EXPECT_EQ(mapper_->p2m().Summary()->summary.foreign, 3u);
  // The owner's word and count stay.
  EXPECT_TRUE(WordOf(*owner_, 302).is_ram());
  ExpectClean(*host_, kDom0Pages + kMapper + kOwner);
  EXPECT_EQ(Unmap(*mapper_, kHole + 1), 0u);
  EXPECT_TRUE(WordOf(*mapper_, kHole + 1).is_invalid());
  EXPECT_EQ(mapper_->p2m().Summary()->summary.foreign, 2u);
}

TEST_F(DomainForeignTest, SlotsThatFailLeaveTheOthersAlone) {
  const uint64_t frame = FrameAt(*owner_, 300);
  const std::vector<ForeignSlot> slots = {
      {Pfn(100), Mfn(frame)},
      {Pfn(kHole), Mfn(frame)},
      {Pfn(uint64_t{1} << 40), Mfn(frame)},
      {Pfn(kHole), Mfn(frame)},
      {Pfn(kHole + 1), Mfn(uint64_t{1} << 40)},
      {Pfn(kHole + 1), Mfn(FrameAt(*mapper_, 300))},
      {Pfn(kHole + 1), Mfn(0)},
      {Pfn(kHole + 1), Mfn(19999)},
      {Pfn(kHole + 1), Mfn(frame)},
  };
  ForeignReport report;
  ASSERT_THAT(mapper_->p2m().MapForeign({"map foreign"}, slots, report),
              IsOk());
  EXPECT_EQ(report.done, 2u);
  EXPECT_EQ(report.failed, 7u);
  std::vector<std::string> errors;
  for (const SlotError& error : report.errors) {
    errors.push_back(absl::StrCat(error.slot, " ",
                                  absl::StatusCodeToString(error.status.code()),
                                  " ", *ReasonOf(error.status)));
  }
  EXPECT_THAT(errors, ElementsAre("0 FAILED_PRECONDITION PFN_NOT_MISSING",
                                  "2 OUT_OF_RANGE PFN_OUT_OF_RANGE",
                                  "3 FAILED_PRECONDITION PFN_NOT_MISSING",
                                  "4 OUT_OF_RANGE MFN_OUT_OF_RANGE",
                                  "5 FAILED_PRECONDITION FRAME_NOT_FOREIGN",
                                  "6 FAILED_PRECONDITION FRAME_NOT_FOREIGN",
                                  "7 FAILED_PRECONDITION FRAME_NOT_FOREIGN"));
  EXPECT_THAT(std::string(report.errors[3].status.message()),
              AllOf(HasSubstr("pfn 0x9c5"), HasSubstr("mfn 0x10000000000"),
                    HasSubstr("ends at mfn 0x4e20")));
}

TEST_F(DomainForeignTest, UnmapsThatFailLeaveTheOthersAlone) {
  Map(*mapper_, kHole, *owner_, 300, 2);
  ForeignReport report;
  ASSERT_THAT(host_->UnmapForeign(
                  {"unmap foreign"}, mapper_->id(),
                  {kHole, kHole, 100, uint64_t{1} << 40, kHole + 1}, report),
              IsOk());
  EXPECT_EQ(report.done, 2u);
  ASSERT_EQ(report.errors.size(), 3u);
  const auto not_foreign =
      IsError(Code::kInvalidArgument, Reason::kPfnNotForeign, testing::_);
  EXPECT_THAT(report.errors[0].status, not_foreign);
  EXPECT_THAT(report.errors[1].status, not_foreign);
  EXPECT_THAT(report.errors[2].status,
              IsError(Code::kOutOfRange, Reason::kPfnOutOfRange, testing::_));
}

TEST_F(DomainForeignTest, CallsNeedAGuestThatHasBooted) {
  const auto built = MustCreate(*host_, MakeSpec("built", 1000), true);
  ForeignReport report;
  const auto not_booted =
      IsError(Code::kFailedPrecondition, Reason::kDomainNotBooted, testing::_);
  EXPECT_THAT(built->p2m().MapForeign({"map foreign"}, {}, report), not_booted);
  EXPECT_THAT(host_->UnmapForeign({"unmap foreign"}, built->id(), {1}, report),
              not_booted);
  // Its frames may be mapped already, as a domain builder does.
  Map(*mapper_, kHole, *built, 300);
}

TEST_F(DomainForeignTest, ErrorsBeyondABoundAreOnlyCounted) {
  const std::vector<ForeignSlot> slots(ForeignReport::kMaxErrors + 5,
                                       {Pfn(1), Mfn(1)});
  ForeignReport report;
  ASSERT_THAT(mapper_->p2m().MapForeign({"map foreign"}, slots, report),
              IsOk());
  EXPECT_EQ(report.failed, slots.size());
  EXPECT_EQ(report.errors.size(), ForeignReport::kMaxErrors);
}

TEST_F(DomainForeignTest, StopKeepsWhatIsMapped) {
  std::vector<ForeignSlot> slots;
  for (uint64_t i = 0; i < 400; ++i) {
    slots.push_back({Pfn(kHole + i), Mfn(FrameAt(*owner_, 300 + i))});
  }
  int asked = 0;
  const auto second_time = [&] {
    return ++asked == 2 ? absl::CancelledError("enough") : absl::OkStatus();
  };
  ForeignReport report;
  EXPECT_EQ(mapper_->p2m()
                .MapForeign({"map foreign", second_time}, slots, report)
                .code(),
            Code::kCancelled);
  EXPECT_EQ(report.done, 256u);
  EXPECT_EQ(mapper_->p2m().Summary()->summary.foreign, 256u);
  EXPECT_EQ(mapper_->Info().memory.balloon.value(), 1000u - 256u);
}

TEST_F(DomainForeignTest, PfnIsOutOfTheBalloonWhileItIsMapped) {
  Map(*mapper_, 2100, *owner_, 300);
  Map(*mapper_, kHole, *owner_, 301);
  EXPECT_EQ(mapper_->Info().memory.balloon.value(), 998u);
  EXPECT_EQ(Unmap(*mapper_, 2100), 0u);
  EXPECT_EQ(Unmap(*mapper_, kHole), 0u);
  EXPECT_EQ(mapper_->Info().memory.balloon.value(), 1000u);
  // The last one in is the first out.
  EXPECT_THAT(mapper_->balloon().Up({"balloon up"}, PageCount(1), false),
              IsOk());
  EXPECT_TRUE(WordOf(*mapper_, kHole).is_ram());
}

TEST_F(DomainForeignTest, PfnThatWasInNoBalloonDoesNotEnterIt) {
  ASSERT_THAT(
      mapper_->p2m().SetRange({"set p2m"}, {Pfn(1900), PageCount(1)},
                              P2mClass::kMissing, Mfn(), RamPolicy::kRelease),
      IsOk());
  Map(*mapper_, 1900, *owner_, 300);
  EXPECT_EQ(Unmap(*mapper_, 1900), 0u);
  EXPECT_EQ(mapper_->Info().memory.balloon.value(), 1000u);
}

TEST_F(DomainForeignTest, FrameThatIsBalloonedOutIsHeldUntilItIsUnmapped) {
  const uint64_t frame = FrameAt(*owner_, kOwner - 1);
  ASSERT_THAT(owner_->contents().Write({"write"}, Pfn(kOwner - 1), 5, "secret"),
              IsOk());
  Map(*mapper_, kHole, *owner_, kOwner - 1);
  Map(*mapper_, kHole + 1, *owner_, kOwner - 1);
  BalloonDown(*owner_, 100);
  // The guest has 100 pages less, but the hypervisor still counts one of them.
  EXPECT_EQ(owner_->Info().memory.current.value(), kOwner - 99);
  EXPECT_EQ(owner_->Info().memory.foreign_held.value(), 1u);
  EXPECT_EQ(owner_->Info().memory.target.value(), kOwner - 100);
  EXPECT_EQ(ReadFrame(frame).substr(5, 6), "secret");
  ExpectClean(*host_, kDom0Pages + kMapper + kOwner - 99);
  // It cannot be mapped again.
  EXPECT_THAT(MapOne(kHole + 2, frame),
              IsError(Code::kFailedPrecondition, Reason::kFrameNotForeign,
                      HasSubstr("given back")));
  EXPECT_EQ(Unmap(*mapper_, kHole), 0u);
  EXPECT_EQ(Unmap(*mapper_, kHole + 1), 1u);
  EXPECT_EQ(owner_->Info().memory.foreign_held.value(), 0u);
  ExpectClean(*host_, kDom0Pages + kMapper + kOwner - 100);
  // The next owner finds zeros.
  EXPECT_THAT(mapper_->balloon().Up({"balloon up"}, PageCount(100), false),
              IsOk());
  EXPECT_EQ(ReadFrame(frame), std::string(kPageSize, '\0'));
}

TEST_F(DomainForeignTest, HeldFramesCountTowardsTheLimit) {
  Map(*mapper_, kHole, *owner_, kOwner - 300, 300);
  BalloonDown(*owner_, 300);
  ASSERT_THAT(
      owner_->balloon().SetMaximum({"set maximum memory"}, PageCount(kOwner)),
      IsOk());
  // The hypervisor lets it have 1 MiB more than static-max.
  EXPECT_THAT(owner_->balloon().Up({"balloon up"}, PageCount(257), false),
              IsError(Code::kResourceExhausted, Reason::kMaxMemExceeded,
                      HasSubstr("300 of them held")));
  EXPECT_EQ(Unmap(*mapper_, kHole), 1u);
  EXPECT_THAT(owner_->balloon().Up({"balloon up"}, PageCount(257), false),
              IsOk());
}

TEST_F(DomainForeignTest, ReleaseCountsWhatWentBackToThePool) {
  Map(*mapper_, kHole, *owner_, 1400);
  const auto change =
      owner_->p2m().SetRange({"set p2m"}, {Pfn(1400), PageCount(10)},
                             P2mClass::kMissing, Mfn(), RamPolicy::kRelease);
  ASSERT_THAT(change, IsOk());
  EXPECT_EQ(change->released.value(), 9u);
  const uint64_t frame = WordOf(*mapper_, kHole).Number();
  EXPECT_THAT(
      owner_->p2m().SetRange({"set p2m"}, {Pfn(1400), PageCount(1)},
                             P2mClass::kRam, Mfn(frame), RamPolicy::kRefuse),
      IsError(Code::kFailedPrecondition, Reason::kFrameNotOwned,
              HasSubstr("given back")));
}

TEST_F(DomainForeignTest, OwnerMayMoveAMappedFrameBetweenItsWords) {
  const uint64_t frame = FrameAt(*owner_, 1400);
  Map(*mapper_, kHole, *owner_, 1400);
  ASSERT_THAT(
      owner_->p2m().SetRange({"set p2m"}, {Pfn(1400), PageCount(1)},
                             P2mClass::kMissing, Mfn(), RamPolicy::kKeep),
      IsOk());
  EXPECT_THAT(host_->Audit().findings, IsEmpty());
  ASSERT_THAT(
      owner_->p2m().SetRange({"set p2m"}, {Pfn(1400), PageCount(1)},
                             P2mClass::kRam, Mfn(frame), RamPolicy::kRefuse),
      IsOk());
  EXPECT_EQ(WordOf(*mapper_, kHole), P2mWord::Foreign(Mfn(frame)));
  EXPECT_EQ(Unmap(*mapper_, kHole), 0u);
  EXPECT_EQ(WordOf(*owner_, 1400), P2mWord::Ram(Mfn(frame)));
}

TEST_F(DomainForeignTest, ForeignWordsAreNotOverwritten) {
  Map(*mapper_, kHole, *owner_, 300);
  const auto holds_foreign =
      IsError(Code::kFailedPrecondition, Reason::kPfnHoldsForeign,
              AllOf(HasSubstr("pfn 0x9c4 maps"), HasSubstr("unmap it")));
  EXPECT_THAT(
      mapper_->p2m().SetRange({"set p2m"}, {Pfn(kHole - 10), PageCount(20)},
                              P2mClass::kIdentity, Mfn(), RamPolicy::kRelease),
      holds_foreign);
  EXPECT_THAT(mapper_->p2m().MarkIdentity({"mark identity"}, Pfn(kHole),
                                          Pfn(kHole + 1), true),
              holds_foreign);
  EXPECT_THAT(mapper_->p2m().MarkIdentity({"mark identity"}, Pfn(kHole + 1),
                                          Pfn(kHole + 2), true),
              IsOk());
}

TEST_F(DomainForeignTest, ForeignPfnIsNotGuestMemoryToReadOrWrite) {
  Map(*mapper_, kHole, *owner_, 300);
  std::string bytes(8, '\0');
  const auto not_ram = IsError(Code::kFailedPrecondition, Reason::kPfnNotRam,
                               HasSubstr("it is foreign"));
  EXPECT_THAT(mapper_->contents().Read(Pfn(kHole), 0, absl::MakeSpan(bytes)),
              not_ram);
  EXPECT_THAT(mapper_->contents().Write({"write"}, Pfn(kHole), 0, bytes),
              not_ram);
}

TEST_F(DomainForeignTest, MfnsTranslateByTheGuestsOwnList) {
  Map(*mapper_, kHole, *owner_, 300);
  const uint64_t foreign = FrameAt(*owner_, 300);
  const uint64_t own = FrameAt(*mapper_, 300);
  std::vector<MfnTranslation> answers;
  ASSERT_THAT(mapper_->p2m().TranslateMfns(
                  {own, foreign, 19999, uint64_t{1} << 30}, answers),
              IsOk());
  const Pfn none = Pfn::None();
  EXPECT_THAT(answers,
              ElementsAre(MfnTranslation{Pfn(300), Pfn(300)},
                          // Past the pages and their room lies identity.
                          MfnTranslation{Pfn(foreign), none},
                          MfnTranslation{Pfn(19999), none},
                          MfnTranslation{Pfn(uint64_t{1} << 30), none}));
}

// Compact room has no leaf of its own, so that the first mapping in a mid takes
// its page table, a page of the tree and the leaf; each of them may be missing.
TEST(DomainForeignAllocationTest,
     SlotThatFindsNoPageIsNotMappedAndMayBeTriedAgain) {
  for (const Arch arch : {Arch::kX86_64, Arch::kX86_32Pae}) {
    const Abi& abi = AbiOf(arch);
    const uint64_t needed = abi.pmds_per_mid + 2;
    for (uint64_t free = 0; free <= needed; ++free) {
      SCOPED_TRACE(absl::StrCat(abi.name, " with ", free, " pages"));
      const auto host = MakeHost(300000);
      DomainSpec spec =
          MakeSpec("mapper", abi.mid_span() / 4, 2 * abi.mid_span() + 20000);
      spec.arch = arch;
      spec.p2m.balloon_room = BalloonRoom::kCompact;
      const auto mapper = MustCreate(*host, spec);
      const auto owner = MustCreate(*host, MakeSpec("owner", 1500));
      const PageCount down = mapper->Info().memory.available - PageCount(free);
      ASSERT_THAT(mapper->balloon().Down({"balloon down"}, down, false),
                  IsOk());
      const uint64_t pages = mapper->Info().memory.p2m_pages.value();
      const uint64_t balloon = mapper->Info().memory.balloon.value();

      const Pfn pfn(abi.mid_span() + 10000);
      const ForeignSlot slot = {pfn, Mfn(WordOf(*owner, 300).Number())};
      ForeignReport report;
      ASSERT_THAT(mapper->p2m().MapForeign({"map foreign"}, {slot}, report),
                  IsOk());
      EXPECT_EQ(report.p2m_pages.value(),
                mapper->Info().memory.p2m_pages.value() - pages);
      EXPECT_THAT(host->Audit().findings, IsEmpty());
      if (free == needed) {
        EXPECT_EQ(report.done, 1u);
        EXPECT_EQ(report.p2m_pages.value(), needed);
        continue;
      }
      ASSERT_EQ(report.errors.size(), 1u);
      EXPECT_THAT(
          report.errors[0].status,
          IsError(Code::kResourceExhausted, Reason::kGuestMemoryExhausted,
                  HasSubstr("no free page")));
      EXPECT_TRUE(WordOf(*mapper, pfn.value()).is_invalid());
      EXPECT_EQ(mapper->Info().memory.balloon.value(), balloon);

      ASSERT_THAT(mapper->balloon().Up({"balloon up"}, PageCount(10), true),
                  IsOk());
      ForeignReport again;
      ASSERT_THAT(mapper->p2m().MapForeign({"map foreign"}, {slot}, again),
                  IsOk());
      EXPECT_EQ(again.done, 1u);
      EXPECT_EQ((report.p2m_pages + again.p2m_pages).value(), needed);
      // The frame that was not mapped at first is mapped once.
      ForeignReport unmapped;
      std::vector<DomainId> drained;
      ASSERT_THAT(mapper->p2m().UnmapForeign({"unmap foreign"}, {pfn.value()},
                                             unmapped, &drained),
                  IsOk());
      EXPECT_THAT(host->DestroyDomain(owner->id()), IsOk());
      EXPECT_THAT(host->Find(owner->id()), testing::Not(IsOk()));
      EXPECT_THAT(host->Audit().findings, IsEmpty());
    }
  }
}

TEST(DomainForeignBootTest, FrameThatBootGivesBackIsHeld) {
  const auto host = MakeHost(20000);
  const auto mapper = MustCreate(*host, MakeSpec("mapper", 2000, 3000));
  DomainSpec spec = MakeSpec("holes", 2000);
  spec.e820 = MakeMap({Ram(0, 1000 * kPageSize),
                       Reserved(1000 * kPageSize, 1100 * kPageSize),
                       Ram(1100 * kPageSize, 2000 * kPageSize)});
  const auto owner = MustCreate(*host, spec, /*start_paused=*/true);
  ForeignReport report;
  ASSERT_THAT(
      mapper->p2m().MapForeign(
          {"map foreign"},
          {ForeignSlot{Pfn(2500), Mfn(WordOf(*owner, 1050).Number())}}, report),
      IsOk());
  ASSERT_EQ(report.done, 1u);
  ASSERT_THAT(owner->Unpause({"unpause"}), IsOk());
  EXPECT_EQ(owner->Info().memory.foreign_held.value(), 1u);
  ExpectClean(*host, kDom0Pages + 2000 + 1901);
}

TEST(DomainForeignPaeTest, FrameThatAPaeWordCannotHoldIsRefused) {
  HostConfig config;
  constexpr uint64_t kHigh = (uint64_t{1} << 30) * kPageSize;
  config.e820 =
      MakeMap({Ram(0, 6000 * kPageSize),
               Ram(kHigh - 10 * kPageSize, kHigh + 3000 * kPageSize)});
  config.dom0_memory = PageCount(kDom0Pages);
  const auto host = *Host::Create(config);
  DomainSpec spec = MakeSpec("pae", 2000, 3000);
  spec.arch = Arch::kX86_32Pae;
  const auto pae = MustCreate(*host, spec);
  const auto big = MustCreate(*host, MakeSpec("big", 3500));
  const uint64_t last = WordOf(*big, 3499).Number();
  ASSERT_GT(last, uint64_t{1} << 30);
  ForeignReport report;
  ASSERT_THAT(pae->p2m().MapForeign(
                  {"map foreign"},
                  {ForeignSlot{Pfn(2500), Mfn(last)},
                   ForeignSlot{Pfn(2501), Mfn((uint64_t{1} << 30) - 1)}},
                  report),
              IsOk());
  EXPECT_EQ(report.done, 1u);
  ASSERT_EQ(report.errors.size(), 1u);
  EXPECT_THAT(report.errors[0].status,
              IsError(Code::kOutOfRange, Reason::kMfnNotAddressable,
                      HasSubstr("below 0x40000000")));
  EXPECT_THAT(host->Audit().findings, IsEmpty());
}

}  // namespace
}  // namespace simvisor
