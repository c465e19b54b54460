#include "domain/vm/domain.h"

#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;

TEST(DomainTest, LifeGoesFromBuiltOverRunningAndPausedToDying) {
  const auto host = MakeHost(20000);
  const auto domain = MustCreate(*host, MakeSpec("a", 2000), true);
  EXPECT_EQ(domain->Info().state, DomainState::kBuilt);
  EXPECT_EQ(*domain->Pause({"pause"}), DomainState::kBuilt);
  EXPECT_EQ(*domain->Unpause({"unpause"}), DomainState::kRunning);
  EXPECT_EQ(*domain->Unpause({"unpause"}), DomainState::kRunning);
  EXPECT_EQ(*domain->Pause({"pause"}), DomainState::kPaused);
  EXPECT_EQ(*domain->Unpause({"unpause"}), DomainState::kRunning);
  ASSERT_THAT(host->DestroyDomain(domain->id()), IsOk());
  EXPECT_EQ(domain->Info().state, DomainState::kDying);
  EXPECT_EQ(domain->Info().memory.current.value(), 0);
}

TEST(DomainTest, NothingCanBeDoneWithADyingDomain) {
  const auto host = MakeHost(20000);
  const auto domain = MustCreate(*host, MakeSpec("a", 2000));
  ASSERT_THAT(host->DestroyDomain(domain->id()), IsOk());
  const auto is_dying =
      IsError(Code::kFailedPrecondition, Reason::kDomainDying, testing::_);
  std::vector<P2mWord> words;
  std::vector<P2mRun> runs;
  uint64_t generation = 0;
  std::string bytes(8, 'x');
  EXPECT_THAT(domain->Pause({"pause"}), is_dying);
  EXPECT_THAT(domain->Unpause({"unpause"}), is_dying);
  std::vector<DomainId> drained;
  EXPECT_THAT(domain->Destroy({"destroy"}, &drained), is_dying);
  EXPECT_THAT(domain->balloon().Down({"balloon down"}, PageCount(1), true),
              is_dying);
  EXPECT_THAT(domain->balloon().Up({"balloon up"}, PageCount(1), true),
              is_dying);
  EXPECT_THAT(domain->balloon().SetTarget({"set memory target"}, PageCount(1)),
              is_dying);
  EXPECT_THAT(
      domain->balloon().SetMaximum({"set maximum memory"}, PageCount(3000)),
      is_dying);
  EXPECT_THAT(
      domain->p2m().MarkIdentity({"mark identity"}, Pfn(1), Pfn(2), true),
      is_dying);
  EXPECT_THAT(
      domain->p2m().SetRange({"set p2m"}, {Pfn(1), PageCount(1)},
                             P2mClass::kMissing, Mfn(), RamPolicy::kKeep),
      is_dying);
  EXPECT_THAT(domain->p2m().Translate({1}, words), is_dying);
  EXPECT_THAT(domain->p2m().ListRuns(Pfn(0), Pfn(1), P2mView::kRaw,
                                     RunMerge::kByFrame, 1, runs, &generation),
              is_dying);
  EXPECT_THAT(domain->p2m().Summary(), is_dying);
  EXPECT_THAT(domain->p2m().FindMfnListList(), is_dying);
  EXPECT_THAT(domain->contents().Read(Pfn(1), 0, absl::MakeSpan(bytes)),
              is_dying);
  EXPECT_THAT(domain->contents().Write({"write"}, Pfn(1), 0, bytes), is_dying);
  EXPECT_THAT(words, testing::IsEmpty());
  ExpectClean(*host, kDom0Pages);
}

TEST(DomainTest, EveryPfnHasAnAnswer) {
  const auto host = MakeHost(20000);
  const auto domain = MustCreate(*host, MakeSpec("a", 2000, 2600));
  EXPECT_TRUE(WordOf(*domain, 1999).is_ram());
  EXPECT_TRUE(WordOf(*domain, 2000).is_invalid());
  EXPECT_TRUE(WordOf(*domain, 2599).is_invalid());
  for (const uint64_t pfn : {uint64_t{2600}, uint64_t{262143}, uint64_t{262144},
                             uint64_t{0x90909090}}) {
    EXPECT_EQ(WordOf(*domain, pfn), P2mWord::Identity(Pfn(pfn)));
  }
}

TEST(DomainTest, BuiltDomainReadsAsItsBuilderLeftIt) {
  const auto host = MakeHost(20000);
  const auto domain = MustCreate(*host, MakeSpec("a", 2000, 2600), true);
  EXPECT_TRUE(WordOf(*domain, 1999).is_ram());
  EXPECT_TRUE(WordOf(*domain, 2047).is_invalid());
  EXPECT_EQ(WordOf(*domain, 2048), P2mWord::Identity(Pfn(2048)));
  EXPECT_EQ(domain->Info().memory.available.value(), 0);
  EXPECT_EQ(domain->p2m().Summary()->summary.area_bytes, 0);
}

TEST(DomainTest, SameMachineAndCallsGiveTheSameFrames) {
  for (const Placement placement : {Placement::kLowest, Placement::kScatter}) {
    const auto one = MakeHost(20000, placement);
    const auto two = MakeHost(20000, placement);
    const auto a = MustCreate(*one, MakeSpec("a", 3000));
    const auto b = MustCreate(*two, MakeSpec("a", 3000));
    EXPECT_EQ(a->Info().uuid, b->Info().uuid);
    for (const auto& domain : {a, b}) {
      ASSERT_THAT(
          domain->balloon().Down({"balloon down"}, PageCount(500), false),
          IsOk());
      ASSERT_THAT(domain->balloon().Up({"balloon up"}, PageCount(500), false),
                  IsOk());
    }
    for (uint64_t pfn = 0; pfn < 3000; ++pfn) {
      ASSERT_EQ(WordOf(*a, pfn), WordOf(*b, pfn)) << pfn;
    }
  }
}

TEST(DomainTest, HotplugLimitMakesTheAreaLarger) {
  const auto host = MakeHost(20000);
  DomainSpec spec = MakeSpec("a", 2000);
  spec.hotplug_limit_gib = 512;
  const auto domain = MustCreate(*host, spec);
  const auto report = domain->p2m().Summary();
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->summary.p2m_size, uint64_t{1} << 27);
  EXPECT_EQ(report->summary.identity_mids, 511);
  EXPECT_EQ(report->summary.metadata_frames(), 9);
}

}  // namespace
}  // namespace simvisor
