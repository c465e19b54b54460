// Loads of guests: their pages, their writes, and how both travel.

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "domain/guest/notes_sections.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/vm/domain_copy.h"
#include "tests/support/host_testing.h"
#include "tests/support/same_guest.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

constexpr uint64_t kLoadedPages = 5000;

// What the notes of a new domain's guest end with.
std::string Sections() {
  StateWriter sections;
  EncodeSections({}, sections);
  return sections.bytes();
}

LoadSpec SpecOf(uint64_t pages, LoadPattern pattern = LoadPattern::kRandom) {
  return {.pages_per_second = 1000,
          .working_set = PageCount(pages),
          .pattern = pattern,
          .seed = 42};
}

class DomainLoadTest
    : public testing::TestWithParam<std::tuple<Arch, BalloonRoom>> {
 protected:
  DomainLoadTest() {
    spec_ = MakeSpec("writer", kLoadedPages, 9000);
    spec_.arch = std::get<0>(GetParam());
    spec_.p2m.balloon_room = std::get<1>(GetParam());
    guest_ = MustCreate(*host_, spec_);
  }
  ~DomainLoadTest() override {
    EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
  }

  PageCount Free() const { return guest_->Info().memory.available; }

  void Start(const LoadSpec& spec) {
    ASSERT_THAT(guest_->load().Start({"start a load"}, spec), IsOk());
  }
  void Run(uint64_t writes) {
    const auto done = guest_->load().Run({"run its load"}, writes);
    ASSERT_THAT(done, IsOk());
    ASSERT_EQ(*done, writes);
  }
  std::vector<Pfn> PagesOfLoad() const {
    std::vector<PfnExtent> extents;
    EXPECT_THAT(guest_->load().ListPages(0, 1000, extents), IsOk());
    std::vector<Pfn> pages;
    for (const PfnExtent& extent : extents) {
      for (Pfn at = extent.first; at < extent.end(); at += PageCount(1)) {
        pages.push_back(at);
      }
    }
    return pages;
  }
  static void ExpectSound(Domain& domain, uint64_t writes) {
    const auto check = domain.load().Check({"check its load"});
    ASSERT_THAT(check, IsOk());
    EXPECT_EQ(check->load.writes, writes);
    EXPECT_EQ(check->checked, check->load.spec.working_set);
    EXPECT_EQ(check->mismatches, PageCount(0));
    EXPECT_TRUE(check->first_bad.is_none());
  }
  static auto NotFound() {
    return IsError(Code::kFailedPrecondition, Reason::kGuestLoadNotFound,
                   HasSubstr("load"));
  }

  const std::unique_ptr<Host> host_ = MakeHost(20000);
  const std::unique_ptr<Host> to_ = MakeHost(20000, Placement::kScatter);
  DomainSpec spec_;
  std::shared_ptr<Domain> guest_;
};

TEST_P(DomainLoadTest, PagesLeaveTheFreeOnesAndComeBackZeroed) {
  const PageCount before = Free();
  Start(SpecOf(700));
  EXPECT_EQ(before - Free(), PageCount(700));
  EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
  const std::vector<Pfn> pages = PagesOfLoad();
  EXPECT_EQ(pages.size(), 700u);
  Run(2000);
  const auto report = guest_->load().Stop({"stop its load"});
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->writes, 2000u);
  EXPECT_FALSE(report->running);
  EXPECT_EQ(Free(), before);
  for (const Pfn pfn : pages) {
    ASSERT_EQ(ReadPage(*guest_, pfn), std::string(kPageSize, '\0'));
  }
}

TEST_P(DomainLoadTest, PagesBeginAsZerosWhateverTheyHeld) {
  Start(SpecOf(10));
  const std::vector<Pfn> pages = PagesOfLoad();
  ASSERT_THAT(guest_->load().Stop({"stop its load"}), IsOk());
  for (const Pfn pfn : pages) {
    ASSERT_THAT(guest_->contents().Write({"write"}, pfn, 0, "old"), IsOk());
  }
  Start(SpecOf(10));
  EXPECT_EQ(PagesOfLoad(), pages);
  ExpectSound(*guest_, 0);
}

TEST_P(DomainLoadTest, EveryPageHoldsItsLastWrite) {
  for (const LoadPattern pattern :
       {LoadPattern::kSequential, LoadPattern::kRandom,
        LoadPattern::kHotspot}) {
    Start(SpecOf(600, pattern));
    for (const uint64_t writes : {1, 255, 256, 257, 1000}) {
      Run(writes);
    }
    ExpectSound(*guest_, 1769);
    const uint64_t index = PageOfWrite(SpecOf(600, pattern), 1768);
    Page page;
    FillPage(SpecOf(600, pattern), index, 1768, page);
    EXPECT_EQ(ReadPage(*guest_, PagesOfLoad()[index]),
              std::string(page.data(), page.size()));
    ASSERT_THAT(guest_->load().Stop({"stop its load"}), IsOk());
  }
}

TEST_P(DomainLoadTest, PageThatSomebodyElseWroteIsFound) {
  Start(SpecOf(600));
  Run(1000);
  const std::vector<Pfn> pages = PagesOfLoad();
  ASSERT_THAT(guest_->contents().Write({"write"}, pages[599], 4095, "!"),
              IsOk());
  ASSERT_THAT(guest_->contents().Write({"write"}, pages[300], 0, "other"),
              IsOk());
  const auto check = guest_->load().Check({"check its load"});
  ASSERT_THAT(check, IsOk());
  EXPECT_EQ(check->checked, PageCount(600));
  EXPECT_EQ(check->mismatches, PageCount(2));
  EXPECT_EQ(check->first_bad, pages[300]);
}

TEST_P(DomainLoadTest, GuestThatDoesNotRunWritesNothing) {
  Start(SpecOf(100));
  Run(50);
  EXPECT_TRUE(guest_->load().Find()->running);
  ASSERT_THAT(guest_->Pause({"pause"}), IsOk());
  EXPECT_FALSE(guest_->load().Find()->running);
  EXPECT_EQ(*guest_->load().Run({"run its load"}, 10), 0u);
  ExpectSound(*guest_, 50);
  ASSERT_THAT(guest_->Unpause({"unpause"}), IsOk());
  Run(10);
  ASSERT_THAT(guest_->migration().Suspend({"save"}), IsOk());
  EXPECT_EQ(*guest_->load().Run({"run its load"}, 10), 0u);
  EXPECT_THAT(guest_->load().Stop({"stop its load"}),
              IsError(Code::kFailedPrecondition, Reason::kDomainSuspended,
                      HasSubstr("stop its load")));
  ASSERT_THAT(guest_->migration().Resume({"resume"}, guest_->Info().suspension,
                                         /*paused=*/true),
              IsOk());
  ExpectSound(*guest_, 60);
  ASSERT_THAT(guest_->load().Stop({"stop its load"}), IsOk());
}

TEST_P(DomainLoadTest, StopEndsRunsAndChecksAndLeavesWhatWasWritten) {
  Start(SpecOf(2000));
  int looks = 0;
  const auto stop = [&looks] {
    return ++looks < 3 ? absl::OkStatus() : absl::CancelledError("enough");
  };
  EXPECT_EQ(guest_->load().Run({"run its load", stop}, 100000).status().code(),
            Code::kCancelled);
  EXPECT_EQ(guest_->load().Find()->writes, 512u);
  looks = 0;
  EXPECT_EQ(guest_->load().Check({"check its load", stop}).status().code(),
            Code::kCancelled);
  ExpectSound(*guest_, 512);
}

TEST_P(DomainLoadTest, BalloonCannotTakeItsPages) {
  Start(SpecOf(1500));
  Run(1500);
  const PageCount free = Free();
  EXPECT_THAT(
      guest_->balloon().Down({"balloon down"}, free + PageCount(1), false),
      IsError(Code::kResourceExhausted, Reason::kGuestMemoryExhausted,
              HasSubstr("balloon")));
  const auto moved =
      guest_->balloon().Down({"balloon down"}, free + PageCount(1000), true);
  ASSERT_THAT(moved, IsOk());
  EXPECT_EQ(*moved, free);
  EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
  ExpectSound(*guest_, 1500);
  ASSERT_THAT(guest_->load().Stop({"stop its load"}), IsOk());
  EXPECT_EQ(Free(), PageCount(1500));
}

TEST_P(DomainLoadTest, RangesOverItsPagesAreRefused) {
  Start(SpecOf(100));
  const Pfn page = PagesOfLoad()[50];
  const auto refused =
      IsError(Code::kFailedPrecondition, Reason::kGuestLoadRunning,
              HasSubstr("pages of the guest's load lie there"));
  EXPECT_THAT(
      guest_->p2m().SetRange({"set p2m"}, {page, PageCount(1)},
                             P2mClass::kMissing, Mfn(), RamPolicy::kRelease),
      refused);
  EXPECT_THAT(
      guest_->p2m().SetRange({"set p2m"}, {page, PageCount(1)},
                             P2mClass::kIdentity, Mfn(), RamPolicy::kKeep),
      refused);
  EXPECT_THAT(guest_->p2m().MarkIdentity({"mark identity"}, page,
                                         page + PageCount(1), true),
              refused);
  ASSERT_THAT(guest_->load().Stop({"stop its load"}), IsOk());
  EXPECT_THAT(guest_->p2m().MarkIdentity({"mark identity"}, page,
                                         page + PageCount(1), true),
              IsOk());
}

TEST_P(DomainLoadTest, OneLoadAtATimeInARunningGuest) {
  EXPECT_THAT(guest_->load().Find(), NotFound());
  EXPECT_THAT(guest_->load().Stop({"stop its load"}), NotFound());
  EXPECT_THAT(guest_->load().Check({"check its load"}), NotFound());
  EXPECT_THAT(guest_->load().Run({"run its load"}, 1), NotFound());
  Start(SpecOf(10));
  EXPECT_THAT(guest_->load().Start({"start a load"}, SpecOf(20)),
              IsError(Code::kFailedPrecondition, Reason::kGuestLoadRunning,
                      HasSubstr("one already, of 10 pages")));
  ASSERT_THAT(guest_->load().Stop({"stop its load"}), IsOk());
  ASSERT_THAT(guest_->Pause({"pause"}), IsOk());
  EXPECT_THAT(guest_->load().Start({"start a load"}, SpecOf(10)),
              IsError(Code::kFailedPrecondition, Reason::kDomainNotRunning,
                      HasSubstr("unpause")));
}

TEST_P(DomainLoadTest, LimitsAreKept) {
  const auto range = IsError(Code::kInvalidArgument, Reason::kRangeInvalid,
                             HasSubstr("1 to 10000000 per second"));
  LoadSpec spec = SpecOf(10);
  spec.pages_per_second = 10'000'001;
  EXPECT_THAT(guest_->load().Start({"start a load"}, spec), range);
  EXPECT_THAT(
      guest_->load().Start({"start a load"}, SpecOf((uint64_t{1} << 22) + 1)),
      range);
  const PageCount free = Free();
  EXPECT_THAT(guest_->load().Start({"start a load"}, SpecOf(free.value() + 1)),
              IsError(Code::kResourceExhausted, Reason::kGuestMemoryExhausted,
                      HasSubstr("smaller working set")));
  EXPECT_EQ(Free(), free);
  Start(SpecOf(free.value()));
  EXPECT_EQ(Free(), PageCount(0));
  Run(100);
  ExpectSound(*guest_, 100);
}

TEST_P(DomainLoadTest, LoadWithoutNumbersFitsWhatIsFree) {
  const PageCount free = Free();
  LoadSpec spec = SpecOf(0);
  spec.pages_per_second = 0;
  const auto started = guest_->load().Start({"start a load"}, spec);
  ASSERT_THAT(started, IsOk());
  EXPECT_EQ(started->spec, spec.FitTo(free));
  EXPECT_EQ(guest_->load().Find()->spec, started->spec);
  EXPECT_EQ(Free(), free - started->spec.working_set);
  EXPECT_EQ(started->writes, 0u);
  EXPECT_TRUE(started->running);
}

TEST_P(DomainLoadTest, LoadTravelsAndGoesOn) {
  ASSERT_THAT(guest_->balloon().Down({"balloon down"}, PageCount(500), false),
              IsOk());
  Start(SpecOf(700, LoadPattern::kHotspot));
  Run(3000);
  const std::vector<Pfn> pages = PagesOfLoad();
  const auto record = guest_->migration().Suspend({"save"});
  ASSERT_THAT(record, IsOk());
  auto incoming = SendPages(*guest_, *to_, spec_, *record);
  const auto awake = incoming->Awaken(
      {.bytes = record->notes, .record_pages = RecordPages(*record)});
  ASSERT_THAT(awake, IsOk());
  EXPECT_THAT(to_->Audit().findings, testing::IsEmpty());
  ExpectSame(*guest_, **awake);
  EXPECT_EQ((*awake)->load().Find()->spec, SpecOf(700, LoadPattern::kHotspot));
  ExpectSound(**awake, 3000);
  for (const Pfn pfn : pages) {
    ASSERT_EQ(ReadPage(*guest_, pfn), ReadPage(**awake, pfn));
  }
  ASSERT_THAT((*awake)->Unpause({"unpause"}), IsOk());
  EXPECT_EQ(*(*awake)->load().Run({"run its load"}, 500), 500u);
  ExpectSound(**awake, 3500);
  ASSERT_THAT((*awake)->load().Stop({"stop its load"}), IsOk());
  EXPECT_THAT(to_->Audit().findings, testing::IsEmpty());
  // Here the load has not gone on.
  ASSERT_THAT(guest_->migration().Resume({"resume"}, guest_->Info().suspension,
                                         /*paused=*/false),
              IsOk());
  Run(1);
  ExpectSound(*guest_, 3001);
}

TEST_P(DomainLoadTest, NotesOfALoadWhosePagesAreFreeAreRefused) {
  const auto record = guest_->migration().Suspend({"save"});
  ASSERT_THAT(record, IsOk());
  StateWriter load;
  PfnSet pages;
  pages.Add({Pfn(2000), PageCount(10)});
  GuestLoad(SpecOf(10), pages).Encode(load);
  auto incoming = SendPages(*guest_, *to_, spec_, *record);
  // The notes end with a 0, for no load, and the sections.
  std::string notes = record->notes;
  const size_t flag = notes.size() - Sections().size() - 1;
  ASSERT_EQ(notes[flag], 0);
  notes.replace(flag, 1, "\1" + load.bytes());
  EXPECT_THAT(
      incoming->Awaken({.bytes = notes, .record_pages = RecordPages(*record)}),
      IsError(Code::kInvalidArgument, Reason::kImageMalformed,
              HasSubstr("load.pages, at byte")));
}

TEST_P(DomainLoadTest, NotesOfALoadThatAreCutAreRefused) {
  Start(SpecOf(10));
  const auto record = guest_->migration().Suspend({"save"});
  ASSERT_THAT(record, IsOk());
  auto incoming = SendPages(*guest_, *to_, spec_, *record);
  const std::string notes =
      record->notes.substr(0, record->notes.size() - Sections().size() - 1);
  EXPECT_THAT(
      incoming->Awaken({.bytes = notes, .record_pages = RecordPages(*record)}),
      IsError(Code::kInvalidArgument, Reason::kImageMalformed,
              HasSubstr("load.pages, at byte")));
}

TEST_P(DomainLoadTest, ChecksHoldWhileTheLoadRunsAndThePagesAroundItMove) {
  Start(SpecOf(600));
  std::thread writer([this] {
    for (int i = 0; i < 20; ++i) {
      EXPECT_THAT(guest_->load().Run({"run its load"}, 500), IsOk());
    }
  });
  std::thread balloon([this] {
    for (int i = 0; i < 50; ++i) {
      EXPECT_THAT(
          guest_->balloon().Down({"balloon down"}, PageCount(300), false),
          IsOk());
      EXPECT_THAT(guest_->balloon().Up({"balloon up"}, PageCount(300), false),
                  IsOk());
    }
  });
  bool sound = true;
  for (uint64_t writes = 0; sound && writes < 10000;) {
    const auto check = guest_->load().Check({"check its load"});
    sound = check.ok() && check->mismatches == PageCount(0);
    EXPECT_TRUE(sound);
    if (sound) writes = check->load.writes;
  }
  writer.join();
  balloon.join();
  ExpectSound(*guest_, 10000);
}

TEST_P(DomainLoadTest, CheckEndsWhenItsLoadDoes) {
  Start(SpecOf(600));
  Run(10);
  // A check calls its StopCheck without a lock.
  bool stopped = false;
  const auto replace = [&] {
    if (!stopped) {
      stopped = true;
      EXPECT_THAT(guest_->load().Stop({"stop its load"}), IsOk());
      EXPECT_THAT(guest_->load().Start({"start a load"}, SpecOf(600)), IsOk());
    }
    return absl::OkStatus();
  };
  EXPECT_THAT(guest_->load().Check({"check its load", replace}), NotFound());
  ExpectSound(*guest_, 0);
}

TEST_P(DomainLoadTest, DyingGuestHasNone) {
  Start(SpecOf(100));
  Run(100);
  ASSERT_THAT(host_->DestroyDomain(guest_->id()), IsOk());
  const auto dying =
      IsError(Code::kFailedPrecondition, Reason::kDomainDying, HasSubstr(""));
  EXPECT_THAT(guest_->load().Run({"run its load"}, 1), dying);
  EXPECT_THAT(guest_->load().Find(), dying);
  EXPECT_THAT(guest_->load().Stop({"stop its load"}), dying);
  EXPECT_THAT(guest_->load().Check({"check its load"}), dying);
  EXPECT_THAT(guest_->load().Start({"start a load"}, SpecOf(1)), dying);
  ExpectClean(*host_, kDom0Pages);
}

INSTANTIATE_TEST_SUITE_P(
    All, DomainLoadTest,
    testing::Combine(testing::Values(Arch::kX86_64, Arch::kX86_32Pae),
                     testing::Values(BalloonRoom::kFaithful,
                                     BalloonRoom::kCompact)));

}  // namespace
}  // namespace simvisor
