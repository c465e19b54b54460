// Guests that suspend and awake elsewhere, without the image in between.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/vm/domain_copy.h"
#include "tests/support/host_testing.h"
#include "tests/support/same_guest.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

constexpr uint64_t kSavedPages = 5000;

DomainSpec SpecOf(Arch arch, ToolsView view, BalloonRoom room) {
  DomainSpec spec = MakeSpec("traveller", kSavedPages, 9000);
  spec.arch = arch;
  spec.p2m = {view, room};
  spec.vcpus = 3;
  return spec;
}

class DomainRestoreTest
    : public testing::TestWithParam<std::tuple<Arch, ToolsView, BalloonRoom>> {
 protected:
  DomainRestoreTest()
      : from_(MakeHost(20000)), to_(MakeHost(20000, Placement::kScatter)) {
    const auto [arch, view, room] = GetParam();
    spec_ = SpecOf(arch, view, room);
    guest_ = MustCreate(*from_, spec_);
  }

  // Suspends the guest and awakes it on the other host.
  std::shared_ptr<Domain> Travel() {
    auto record = guest_->migration().Suspend({"save"});
    EXPECT_THAT(record, IsOk());
    DomainSpec spec = spec_;
    auto incoming = SendPages(*guest_, *to_, spec, *record);
    EXPECT_THAT(to_->Find(std::string("traveller")),
                IsError(Code::kNotFound, Reason::kDomainNotFound,
                        HasSubstr("traveller")));
    EXPECT_THAT(to_->Audit().findings, testing::IsEmpty());
    auto awake = incoming->Awaken(
        {.bytes = record->notes, .record_pages = RecordPages(*record)});
    EXPECT_THAT(awake, IsOk());
    EXPECT_THAT(to_->Audit().findings, testing::IsEmpty());
    return *std::move(awake);
  }

  std::unique_ptr<Host> from_, to_;
  DomainSpec spec_;
  std::shared_ptr<Domain> guest_;
};

TEST_P(DomainRestoreTest, FreshGuestIsTheSameElsewhere) {
  const auto awake = Travel();
  ExpectSame(*guest_, *awake);
  EXPECT_EQ(awake->Info().state, DomainState::kPaused);
  EXPECT_EQ(awake->Info().vcpus, 3u);
  EXPECT_THAT(awake->p2m().FindMfnListList(),
              IsError(Code::kFailedPrecondition, Reason::kP2mTreeStale,
                      HasSubstr("resume")));
  EXPECT_THAT(awake->Unpause({"unpause"}), IsOk());
  EXPECT_THAT(awake->p2m().FindMfnListList(), IsOk());
  EXPECT_THAT(
      awake->balloon().SetMaximum({"set maximum memory"}, PageCount(9000)),
      IsOk());
  EXPECT_THAT(awake->balloon().Up({"balloon up"}, PageCount(1000), false),
              IsOk());
  EXPECT_THAT(awake->balloon().Down({"balloon down"}, PageCount(2000), false),
              IsOk());
  ExpectClean(*to_, kDom0Pages + kSavedPages - 1000);
}

TEST_P(DomainRestoreTest, WordsContentsAndBalloonTravel) {
  ASSERT_THAT(guest_->balloon().Down({"balloon down"}, PageCount(1500), false),
              IsOk());
  ASSERT_THAT(guest_->balloon().Up({"balloon up"}, PageCount(300), false),
              IsOk());
  const uint64_t hole = 2003;
  ASSERT_THAT(
      guest_->p2m().SetRange({"set p2m"}, {Pfn(hole), PageCount(70)},
                             P2mClass::kIdentity, Mfn(), RamPolicy::kRelease),
      IsOk());
  ASSERT_THAT(
      guest_->p2m().SetRange({"set p2m"}, {Pfn(300), PageCount(3)},
                             P2mClass::kMissing, Mfn(), RamPolicy::kRelease),
      IsOk());
  for (const uint64_t pfn : {0, 7, 255, 1200, 3001}) {
    ASSERT_THAT(guest_->contents().Write({"write"}, Pfn(pfn), pfn % 100,
                                         absl::StrCat("page ", pfn)),
                IsOk());
  }
  const auto awake = Travel();
  ExpectSame(*guest_, *awake);
  for (const uint64_t pfn : {0, 7, 255, 1200, 3001, 1, 700}) {
    EXPECT_EQ(ReadPage(*guest_, Pfn(pfn)), ReadPage(*awake, Pfn(pfn))) << pfn;
  }
  EXPECT_EQ(WordOf(*awake, hole), P2mWord::Identity(Pfn(hole)));
  EXPECT_THAT(awake->Unpause({"unpause"}), IsOk());
  EXPECT_THAT(to_->Audit().findings, testing::IsEmpty());
}

TEST_P(DomainRestoreTest, PagesBalloonedOutAfterTheyWereSentDoNotComeBack) {
  // As in a live migration: all pages first, the record later.
  const uint64_t before = guest_->Info().memory.current.value();
  auto first = guest_->migration().Suspend({"save"});
  ASSERT_THAT(first, IsOk());
  auto incoming = SendPages(*guest_, *to_, spec_, *first);
  ASSERT_THAT(guest_->migration().Resume({"resume"}, guest_->Info().suspension,
                                         /*paused=*/false),
              IsOk());
  ASSERT_THAT(guest_->balloon().Down({"balloon down"}, PageCount(64), false),
              IsOk());
  const auto second = guest_->migration().Suspend({"save"});
  ASSERT_THAT(second, IsOk());
  const auto awake = incoming->Awaken(
      {.bytes = second->notes, .record_pages = RecordPages(*second)});
  ASSERT_THAT(awake, IsOk());
  ExpectSame(*guest_, **awake);
  EXPECT_EQ((*awake)->Info().memory.current.value(), before - 64);
  EXPECT_THAT(to_->Audit().findings, testing::IsEmpty());
}

TEST_P(DomainRestoreTest, SuspendedGuestDoesNotChange) {
  const auto suspended = [](absl::string_view what) {
    return IsError(Code::kFailedPrecondition, Reason::kDomainSuspended,
                   HasSubstr(std::string(what)));
  };
  ASSERT_THAT(guest_->migration().Suspend({"save"}), IsOk());
  EXPECT_TRUE(guest_->Info().suspended);
  EXPECT_EQ(guest_->Info().state, DomainState::kPaused);
  EXPECT_THAT(guest_->Unpause({"unpause"}), suspended("unpause"));
  EXPECT_THAT(guest_->contents().Write({"write"}, Pfn(700), 0, "x"),
              suspended("write"));
  EXPECT_THAT(
      guest_->p2m().SetRange({"set p2m"}, {Pfn(700), PageCount(1)},
                             P2mClass::kMissing, Mfn(), RamPolicy::kRelease),
      suspended("set p2m"));
  EXPECT_THAT(
      guest_->p2m().MarkIdentity({"mark identity"}, Pfn(700), Pfn(701), true),
      suspended("mark identity"));
  EXPECT_THAT(guest_->balloon().Down({"balloon down"}, PageCount(1), false),
              suspended("balloon down"));
  EXPECT_THAT(guest_->balloon().Up({"balloon up"}, PageCount(1), false),
              suspended("balloon up"));
  EXPECT_THAT(guest_->Pause({"pause"}), suspended("pause"));
  EXPECT_THAT(
      guest_->balloon().SetTarget({"set memory target"}, PageCount(1000)),
      suspended("set memory target"));
  // The number of another suspension does not resume it.
  ASSERT_THAT(guest_->migration().Resume({"resume"},
                                         guest_->Info().suspension + 1, false),
              IsOk());
  EXPECT_TRUE(guest_->Info().suspended);
  ASSERT_THAT(guest_->migration().Resume({"resume"}, guest_->Info().suspension,
                                         /*paused=*/true),
              IsOk());
  EXPECT_FALSE(guest_->Info().suspended);
  EXPECT_EQ(guest_->Info().state, DomainState::kPaused);
  EXPECT_THAT(guest_->contents().Write({"write"}, Pfn(700), 0, "x"), IsOk());
  EXPECT_THAT(guest_->Unpause({"unpause"}), IsOk());
  EXPECT_THAT(from_->Audit().findings, testing::IsEmpty());
}

TEST_P(DomainRestoreTest, NothingIsLeftOfOneThatDoesNotArrive) {
  const auto record = guest_->migration().Suspend({"save"});
  ASSERT_THAT(record, IsOk());
  auto incoming = SendPages(*guest_, *to_, spec_, *record);
  // Its frames are promised.
  EXPECT_THAT(to_->CreateDomain(MakeSpec("other", 14000), false, NeverStop),
              IsError(Code::kResourceExhausted, Reason::kHostMemoryExhausted,
                      HasSubstr("other")));
  incoming = nullptr;
  ExpectClean(*to_, kDom0Pages);
  EXPECT_EQ(to_->Info().domains, 1u);
  MustCreate(*to_, spec_);  // name and id are free
}

TEST_P(DomainRestoreTest, NotesThatAreCutOrChangedAreRefused) {
  ASSERT_THAT(guest_->balloon().Down({"balloon down"}, PageCount(200), false),
              IsOk());
  const auto record = guest_->migration().Suspend({"save"});
  ASSERT_THAT(record, IsOk());
  const std::string& notes = record->notes;
  uint64_t refused = 0;
  for (size_t i = 0; i < notes.size(); i += 3) {
    std::string changed = notes;
    if (i % 2 == 0) {
      changed.resize(i);
    } else {
      changed[i] = static_cast<char>(changed[i] ^ 0x11);
    }
    auto incoming = SendPages(*guest_, *to_, spec_, *record);
    const auto awake = incoming->Awaken(
        {.bytes = changed, .record_pages = RecordPages(*record)});
    if (awake.ok()) {  // this number may have any value
      EXPECT_THAT(to_->Audit().findings, testing::IsEmpty());
      EXPECT_THAT(to_->DestroyDomain((*awake)->id()), IsOk());
    } else {
      ++refused;
      EXPECT_EQ(ReasonOf(awake.status()), "IMAGE_MALFORMED")
          << awake.status() << " at " << i;
    }
    incoming = nullptr;
    ExpectClean(*to_, kDom0Pages);
  }
  EXPECT_GT(refused, notes.size() / 6);
}

INSTANTIATE_TEST_SUITE_P(
    All, DomainRestoreTest,
    testing::Combine(testing::Values(Arch::kX86_64, Arch::kX86_32Pae),
                     testing::Values(ToolsView::kTree, ToolsView::kLinear),
                     testing::Values(BalloonRoom::kFaithful,
                                     BalloonRoom::kCompact)));

TEST(DomainSuspendTest, PaeProcessesTravel) {
  for (const bool shared : {false, true}) {
    const auto from = MakeHost(20000);
    const auto to = MakeHost(20000);
    DomainSpec spec =
        SpecOf(Arch::kX86_32Pae, ToolsView::kTree, BalloonRoom::kFaithful);
    spec.pae_kernel = {.shared_kernel_pmd = shared, .user_pgds = 2};
    const auto guest = MustCreate(*from, spec);
    ASSERT_THAT(guest->processes().Create({"create address spaces"}, 130),
                IsOk());
    ASSERT_THAT(
        guest->processes().Destroy({"destroy address spaces"}, {3, 100}),
        IsOk());
    const auto record = guest->migration().Suspend({"save"});
    ASSERT_THAT(record, IsOk());
    auto incoming = SendPages(*guest, *to, spec, *record);
    const auto awake = incoming->Awaken(
        {.bytes = record->notes, .record_pages = RecordPages(*record)});
    ASSERT_THAT(awake, IsOk());
    ExpectSame(*guest, **awake);
    std::vector<AddressSpaceInfo> before, after;
    EXPECT_THAT(guest->processes().List(0, 1000, before), IsOk());
    EXPECT_THAT((*awake)->processes().List(0, 1000, after), IsOk());
    ASSERT_EQ(before.size(), after.size());
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(before[i].id, after[i].id);
      EXPECT_EQ(before[i].pgd_offset, after[i].pgd_offset);
    }
    EXPECT_THAT(to->Audit().findings, testing::IsEmpty());
    ASSERT_THAT((*awake)->Unpause({"unpause"}), IsOk());
    EXPECT_EQ(
        (*awake)->processes().Create({"create address spaces"}, 1)->first_id,
        131u);
  }
}

TEST(DomainSuspendTest, NotesWithAPfnTwiceInTheBalloonAreRefused) {
  const auto from = MakeHost(20000);
  const auto to = MakeHost(20000);
  const DomainSpec spec =
      SpecOf(Arch::kX86_64, ToolsView::kTree, BalloonRoom::kFaithful);
  const auto guest = MustCreate(*from, spec);
  const auto record = guest->migration().Suspend({"save"});
  ASSERT_THAT(record, IsOk());
  // The balloon is one extent without stripes, [5000, 9000), and none of high
  // memory: two of it instead of one.
  StateWriter once, twice;
  once.Put(1);
  twice.Put(2);
  for (StateWriter* out : {&once, &twice, &twice}) {
    out->Put(PfnExtent{Pfn(5000), PageCount(4000)});
    out->Put(0);
  }
  once.Put(0);
  twice.Put(0);
  std::string notes = record->notes;
  const size_t at = notes.rfind(once.bytes());
  ASSERT_NE(at, std::string::npos);
  notes.replace(at, once.bytes().size(), twice.bytes());
  auto incoming = SendPages(*guest, *to, spec, *record);
  EXPECT_THAT(
      incoming->Awaken({.bytes = notes, .record_pages = RecordPages(*record)}),
      IsError(Code::kInvalidArgument, Reason::kImageMalformed,
              HasSubstr("balloon.low, at byte")));
}

TEST(DomainSuspendTest, GuestsThatCannotTravelAreToldWhy) {
  const auto host = MakeHost(20000);
  const auto paused = MustCreate(*host, MakeSpec("paused", 2000), true);
  EXPECT_THAT(paused->migration().Suspend({"save"}),
              IsError(Code::kFailedPrecondition, Reason::kDomainNotRunning,
                      HasSubstr("save")));
  DomainSpec spec = MakeSpec("devices", 2000);
  spec.e820_host = true;
  spec.pci_devices = {*PciAddress::Parse("0000:03:00.0")};
  const auto devices = MustCreate(*host, spec);
  EXPECT_THAT(devices->migration().Suspend({"save"}),
              IsError(Code::kFailedPrecondition, Reason::kDomainNotMigratable,
                      HasSubstr("1 PCI devices")));
  const auto mapper = MustCreate(*host, MakeSpec("mapper", 2000, 2100));
  const Mfn mfn(WordOf(*devices, 700).Number());
  ForeignReport report;
  ASSERT_THAT(
      mapper->p2m().MapForeign(
          {"map foreign"}, std::vector<ForeignSlot>{{Pfn(2050), mfn}}, report),
      IsOk());
  ASSERT_EQ(report.done, 1u);
  EXPECT_THAT(mapper->migration().Suspend({"save"}),
              IsError(Code::kFailedPrecondition, Reason::kDomainNotMigratable,
                      HasSubstr("pfn 0x802")));
  EXPECT_EQ(mapper->Info().state, DomainState::kRunning);
}

TEST(DomainSuspendTest, GuestWithRamBehindTheEndOfItsListIsToldWhy) {
  const auto host = MakeHost(20000);
  // The room ends inside a leaf, and the list's end for tools with it.
  const auto guest = MustCreate(*host, MakeSpec("behind", 5000, 9001));
  const Mfn kept(WordOf(*guest, 700).Number());
  ASSERT_THAT(
      guest->p2m().SetRange({"set p2m"}, {Pfn(700), PageCount(1)},
                            P2mClass::kMissing, Mfn(), RamPolicy::kKeep),
      IsOk());
  ASSERT_THAT(guest->p2m().SetRange({"set p2m"}, {Pfn(9005), PageCount(1)},
                                    P2mClass::kRam, kept, RamPolicy::kRefuse),
              IsOk());
  EXPECT_THAT(guest->migration().Suspend({"save"}),
              IsError(Code::kFailedPrecondition, Reason::kDomainNotMigratable,
                      HasSubstr("pfn 0x232d is RAM")));
  ASSERT_THAT(
      guest->p2m().SetRange({"set p2m"}, {Pfn(9005), PageCount(1)},
                            P2mClass::kMissing, Mfn(), RamPolicy::kRelease),
      IsOk());
  EXPECT_THAT(guest->migration().Suspend({"save"}), IsOk());
}

TEST(DomainSuspendTest, GuestWithMoreThanItsMaximumTravels) {
  const auto from = MakeHost(20000);
  const auto to = MakeHost(20000);
  const DomainSpec spec =
      SpecOf(Arch::kX86_64, ToolsView::kTree, BalloonRoom::kFaithful);
  const auto guest = MustCreate(*from, spec);
  LoadSpec load;
  load.working_set = PageCount(3000);
  ASSERT_THAT(guest->load().Start({"start a load"}, load), IsOk());
  ASSERT_THAT(
      guest->balloon().SetTarget({"set memory target"}, PageCount(1000)),
      IsOk());
  ASSERT_THAT(
      guest->balloon().SetMaximum({"set maximum memory"}, PageCount(1500)),
      IsOk());
  // The target follows what the guest has, which the load keeps.
  ASSERT_THAT(guest->load().Stop({"stop its load"}), IsOk());
  ASSERT_THAT(guest->balloon().Down({"balloon down"}, PageCount(10), false),
              IsOk());
  ASSERT_GT(guest->Info().memory.target, guest->Info().memory.static_max);
  const auto record = guest->migration().Suspend({"save"});
  ASSERT_THAT(record, IsOk());
  const auto incoming = SendPages(*guest, *to, spec, *record);
  const auto awake = incoming->Awaken(
      {.bytes = record->notes, .record_pages = RecordPages(*record)});
  ASSERT_THAT(awake, IsOk());
  ExpectSame(*guest, **awake);
}

TEST(DomainSuspendTest, LongSuspendAndAwakeningAreStoppedWithoutATrace) {
  const auto from = MakeHost(20000, Placement::kScatter);
  const auto to = MakeHost(20000);
  const DomainSpec spec =
      SpecOf(Arch::kX86_64, ToolsView::kTree, BalloonRoom::kFaithful);
  const auto guest = MustCreate(*from, spec);
  const auto gone = [] { return absl::CancelledError("gone"); };
  EXPECT_EQ(
      guest->migration().Suspend({"save", gone}, SuspendFor::kSave).status(),
      gone());
  EXPECT_EQ(guest->Info().state, DomainState::kRunning);
  const auto record = guest->migration().Suspend({"save"});
  ASSERT_THAT(record, IsOk());
  const std::vector<Pfn> pages = RecordPages(*record);
  for (int looks = 0; looks < 20; ++looks) {
    auto incoming = SendPages(*guest, *to, spec, *record);
    int asked = 0;
    const auto stop = [&] {
      return asked++ < looks ? absl::OkStatus() : absl::CancelledError("gone");
    };
    const auto awake =
        incoming->Awaken({.bytes = record->notes, .record_pages = pages},
                         LimitsFrom::kNotes, Arrival::kPaused, stop);
    if (awake.ok()) {
      EXPECT_GT(looks, 0);
      break;
    }
    EXPECT_EQ(awake.status(), gone());
    incoming = nullptr;
    ExpectClean(*to, kDom0Pages);
  }
}

TEST(DomainSuspendTest, GuestWithoutFreePagesCannotSuspend) {
  const auto host = MakeHost(20000);
  const auto guest = MustCreate(*host, MakeSpec("full", 2000));
  const PageCount free = guest->Info().memory.available;
  ASSERT_THAT(guest->balloon().Down({"balloon down"}, free, false), IsOk());
  EXPECT_THAT(guest->migration().Suspend({"save"}),
              IsError(Code::kResourceExhausted, Reason::kGuestMemoryExhausted,
                      HasSubstr("free pages that hold nothing")));
  EXPECT_EQ(guest->Info().state, DomainState::kRunning);
  ExpectClean(*host, kDom0Pages + 2000 - free.value());
}

}  // namespace
}  // namespace simvisor
