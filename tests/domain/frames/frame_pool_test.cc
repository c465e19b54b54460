#include "domain/frames/frame_pool.h"

#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/frames/populate.h"
#include "tests/domain/frames/test_frames.h"
#include "tests/support/extents.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

std::unique_ptr<FramePool> MakePool(const std::vector<MfnExtent>& ram,
                                    uint64_t reserved = 0,
                                    Placement placement = Placement::kLowest,
                                    uint64_t seed = 1,
                                    Mfn low_end = Mfn::None()) {
  auto pool = FramePool::Create(ram, Mfn(reserved), placement, seed, low_end);
  EXPECT_THAT(pool, IsOk());
  return *std::move(pool);
}

PopulatedExtents Populate(FramePool& pool, DomainId owner, PfnExtent pfns) {
  auto claim = pool.Claim(pfns.count);
  EXPECT_THAT(claim, IsOk());
  return PopulateAll(pool, *claim, owner, pfns);
}

std::vector<FrameRun> Runs(const FramePool& pool) {
  std::vector<FrameRun> runs;
  EXPECT_EQ(pool.ListRuns({Mfn(0), pool.max_mfn() - Mfn(0)}, SIZE_MAX, runs),
            pool.max_mfn());
  return runs;
}

TEST(FramePoolTest, LowestFramesComeFirstInTheLongestExtents) {
  const auto pool =
      MakePool({Frames(0, 0x9f), Frames(0x100, 3 * kBlock)}, 0x10);
  EXPECT_THAT(Populate(*pool, kAlice, Pfns(1000, 1000 + 2 * kBlock)),
              ElementsAre(std::pair(Pfn(1000), Frames(0x10, 0x9f)),
                          std::pair(Pfn(1000 + 0x8f),
                                    Frames(0x100, 0x100 + 2 * kBlock - 0x8f))));
  EXPECT_THAT(pool->CheckInvariants(), IsOk());
}

TEST(FramePoolTest, FreedFramesAreTheLowestAgain) {
  const auto pool = MakePool({Frames(0, 1000)});
  Populate(*pool, kAlice, Pfns(0, 900));
  pool->Free({Frames(700, 702), Frames(10, 20)});
  EXPECT_THAT(Populate(*pool, kBob, Pfns(0, 13)),
              ElementsAre(std::pair(Pfn(0), Frames(10, 20)),
                          std::pair(Pfn(10), Frames(700, 702)),
                          std::pair(Pfn(12), Frames(900, 901))));
  EXPECT_THAT(pool->CheckInvariants(), IsOk());
}

TEST(FramePoolTest, LookupSaysStateOwnerAndPfn) {
  const auto pool = MakePool({Frames(0, 10), Frames(20, 30)}, 2);
  Populate(*pool, kBob, Pfns(100, 110));
  EXPECT_EQ(pool->Lookup(Mfn(1)).state, FrameState::kReserved);
  EXPECT_EQ(pool->Lookup(Mfn(15)).state, FrameState::kNotRam);
  EXPECT_EQ(pool->Lookup(Mfn(25)).state, FrameState::kFree);
  EXPECT_EQ(pool->Lookup(Mfn(30)).state, FrameState::kNotRam);
  EXPECT_EQ(pool->Lookup(Mfn::None()).state, FrameState::kNotRam);
  EXPECT_EQ(pool->Lookup(Mfn(21)),
            (FrameRun{Frames(21, 22), FrameState::kOwned, kBob, Pfn(109)}));
}

TEST(FramePoolTest, SetPfnsChangesAndClearsM2pEntries) {
  const auto pool = MakePool({Frames(0, 100)});
  Populate(*pool, kAlice, Pfns(0, 50));
  pool->SetPfns(Frames(10, 20), Pfn(500));
  pool->SetPfns(Frames(15, 16), Pfn::None());
  EXPECT_EQ(pool->Lookup(Mfn(10)).first_pfn, Pfn(500));
  EXPECT_EQ(pool->Lookup(Mfn(16)).first_pfn, Pfn(506));
  EXPECT_TRUE(pool->Lookup(Mfn(15)).first_pfn.is_none());
  EXPECT_EQ(pool->Lookup(Mfn(15)).owner, kAlice);
  EXPECT_THAT(pool->CheckInvariants(), IsOk());
}

TEST(FramePoolTest, ListRunsGoesOnWhereItStopped) {
  const auto pool = MakePool({Frames(0, 10), Frames(20, 30)}, 2);
  Populate(*pool, kAlice, Pfns(0, 3));
  const std::vector<FrameRun> all = Runs(*pool);
  ASSERT_THAT(all, SizeIs(5));
  std::vector<FrameRun> pieces;
  EXPECT_EQ(pool->ListRuns(Frames(0, 30), 0, pieces), Mfn(0));
  EXPECT_EQ(pool->ListRuns(Frames(0, 30), 2, pieces), Mfn(5));
  EXPECT_EQ(pool->ListRuns(Frames(5, 30), 2, pieces), Mfn(20));
  EXPECT_EQ(pool->ListRuns(Frames(20, 30), 2, pieces), Mfn(30));
  EXPECT_EQ(pool->ListRuns(Frames(30, 30), 2, pieces), Mfn(30));
  EXPECT_EQ(pieces, all);
}

TEST(FramePoolTest, ListRunsIsCutAtTheExtentAskedFor) {
  const auto pool = MakePool({Frames(0, 100)});
  Populate(*pool, kAlice, Pfns(1000, 1100));
  std::vector<FrameRun> runs;
  EXPECT_EQ(pool->ListRuns(Frames(10, 20), 9, runs), Mfn(20));
  EXPECT_THAT(runs, ElementsAre(FrameRun{Frames(10, 20), FrameState::kOwned,
                                         kAlice, Pfn(1010)}));
}

TEST(FramePoolTest, ClaimedFramesStayFreeButOthersCannotTakeThem) {
  const auto pool = MakePool({Frames(0, 100)});
  auto claim = pool->Claim(PageCount(60));
  ASSERT_THAT(claim, IsOk());
  EXPECT_EQ(pool->counts().free, PageCount(100));
  EXPECT_EQ(pool->counts().claimed, PageCount(60));
  EXPECT_THAT(pool->Claim(PageCount(41)),
              IsError(absl::StatusCode::kResourceExhausted,
                      Reason::kHostMemoryExhausted,
                      HasSubstr("claim of 41 pages: of the host's 100 "
                                "pages, 40 pages are free and unclaimed")));
  EXPECT_THAT(pool->Claim(PageCount(~uint64_t{0})),
              IsError(absl::StatusCode::kResourceExhausted,
                      Reason::kHostMemoryExhausted, HasSubstr("40 pages are")));
  EXPECT_THAT(pool->Claim(PageCount(40)), IsOk());
  EXPECT_EQ(pool->counts().claimed, PageCount(60));
}

TEST(FramePoolTest, PopulateConsumesItsClaim) {
  const auto pool = MakePool({Frames(0, 100)});
  auto claim = pool->Claim(PageCount(60));
  PopulateAll(*pool, *claim, kAlice, Pfns(0, 25));
  EXPECT_EQ(claim->remaining(), PageCount(35));
  EXPECT_EQ(pool->counts().claimed, PageCount(35));
  EXPECT_EQ(pool->counts().owned, PageCount(25));
  // Returned frames do not make the claim grow.
  pool->Free({Frames(0, 25)});
  EXPECT_EQ(pool->counts().claimed, PageCount(35));
  *claim = FrameClaim();
  EXPECT_EQ(pool->counts().claimed, PageCount(0));
}

TEST(FramePoolTest, ClaimUpToTakesWhatIsAvailable) {
  const auto pool = MakePool({Frames(0, 100)});
  const FrameClaim some = pool->ClaimUpTo(PageCount(70));
  const FrameClaim rest = pool->ClaimUpTo(PageCount(70));
  const FrameClaim none = pool->ClaimUpTo(PageCount(70));
  EXPECT_EQ(some.remaining(), PageCount(70));
  EXPECT_EQ(rest.remaining(), PageCount(30));
  EXPECT_EQ(none.remaining(), PageCount(0));
}

TEST(FramePoolTest, ClaimMovesWithItsObject) {
  const auto pool = MakePool({Frames(0, 100)});
  FrameClaim a = pool->ClaimUpTo(PageCount(10));
  FrameClaim b = pool->ClaimUpTo(PageCount(20));
  FrameClaim c = std::move(a);
  EXPECT_EQ(pool->counts().claimed, PageCount(30));
  b = std::move(c);  // gives b's own up
  EXPECT_EQ(b.remaining(), PageCount(10));
  EXPECT_EQ(pool->counts().claimed, PageCount(10));
}

TEST(FramePoolTest, ScatterGivesSingleFramesChosenByTheSeed) {
  const std::vector<MfnExtent> ram = {Frames(0, 1000), Frames(5000, 9000)};
  const auto populate = [&ram](uint64_t seed) {
    const auto pool = MakePool(ram, 16, Placement::kScatter, seed);
    return Populate(*pool, kAlice, Pfns(0, 300));
  };
  const PopulatedExtents extents = populate(1);
  ASSERT_THAT(extents, SizeIs(300));
  int neighbours = 0;
  for (size_t i = 0; i < extents.size(); ++i) {
    EXPECT_EQ(extents[i].first, Pfn(i));
    EXPECT_EQ(extents[i].second.count, PageCount(1));
    if (i > 0 && extents[i].second.first == extents[i - 1].second.end()) {
      ++neighbours;
    }
  }
  EXPECT_LT(neighbours, 5);
  EXPECT_EQ(populate(1), extents);
  EXPECT_NE(populate(2), extents);
}

TEST(FramePoolTest, ScatterWrapsAroundToTheLastFreeFrame) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto pool = MakePool({Frames(0, 50)}, 0, Placement::kScatter, seed);
    Populate(*pool, kAlice, Pfns(0, 50));
    EXPECT_EQ(pool->counts().free, PageCount(0));
    pool->Free({Frames(7, 8)});
    EXPECT_THAT(Populate(*pool, kBob, Pfns(3, 4)),
                ElementsAre(std::pair(Pfn(3), Frames(7, 8))));
    EXPECT_THAT(pool->CheckInvariants(), IsOk());
  }
}

// 100 frames, of which the first 40 are low.
std::unique_ptr<FramePool> MakeLowPool(Placement placement) {
  return MakePool({Frames(0, 100)}, 0, placement, 1, Mfn(40));
}

TEST(FramePoolTest, LowClaimIsMetOnlyFromLowFrames) {
  for (const Placement placement : {Placement::kLowest, Placement::kScatter}) {
    const auto pool = MakeLowPool(placement);
    auto claim = pool->Claim(PageCount(40), FrameReach::kLow);
    ASSERT_THAT(claim, IsOk());
    for (const auto& [pfn, frames] :
         PopulateAll(*pool, *claim, kAlice, Pfns(0, 40))) {
      EXPECT_LE(frames.end(), Mfn(40));
    }
    EXPECT_EQ(pool->counts().free, PageCount(60));
    EXPECT_THAT(pool->CheckInvariants(), IsOk());
  }
}

TEST(FramePoolTest, LowClaimIsRefusedWhenOnlyHighFramesAreLeft) {
  const auto pool = MakeLowPool(Placement::kLowest);
  Populate(*pool, kAlice, Pfns(0, 30));
  EXPECT_THAT(
      pool->Claim(PageCount(11), FrameReach::kLow),
      IsError(absl::StatusCode::kResourceExhausted,
              Reason::kHostMemoryExhausted,
              HasSubstr("(mfn 0x28), which a 32-bit guest can reach, "
                        "10 pages are free and unclaimed, of all frames 70 "
                        "pages")));
  EXPECT_EQ(pool->ClaimUpTo(PageCount(11), FrameReach::kLow).remaining(),
            PageCount(10));
  EXPECT_THAT(pool->Claim(PageCount(70)), IsOk());
  EXPECT_EQ(pool->counts().claimed, PageCount(0));
}

TEST(FramePoolTest, LowClaimNeedsRoomAmongAllClaimsToo) {
  const auto pool = MakeLowPool(Placement::kLowest);
  const FrameClaim most = pool->ClaimUpTo(PageCount(95));
  EXPECT_EQ(pool->ClaimUpTo(PageCount(40), FrameReach::kLow).remaining(),
            PageCount(5));
}

TEST(FramePoolTest, PromisedLowFramesAreNotGivenToOthers) {
  for (const Placement placement : {Placement::kLowest, Placement::kScatter}) {
    const auto pool = MakeLowPool(placement);
    auto low = pool->Claim(PageCount(25), FrameReach::kLow);
    ASSERT_THAT(low, IsOk());
    const PopulatedExtents others = Populate(*pool, kBob, Pfns(0, 75));
    if (placement == Placement::kLowest) {
      EXPECT_THAT(others, ElementsAre(std::pair(Pfn(0), Frames(0, 15)),
                                      std::pair(Pfn(15), Frames(40, 100))));
    }
    EXPECT_EQ(pool->ClaimUpTo(PageCount(1)).remaining(), PageCount(0));
    for (const auto& [pfn, frames] :
         PopulateAll(*pool, *low, kAlice, Pfns(0, 25))) {
      EXPECT_LE(frames.end(), Mfn(40));
    }
    EXPECT_EQ(pool->counts().free, PageCount(0));
    EXPECT_THAT(pool->CheckInvariants(), IsOk());
  }
}

TEST(FramePoolTest, LowFramesAreAvailableAgainAfterTheirClaim) {
  const auto pool = MakeLowPool(Placement::kLowest);
  FrameClaim low = pool->ClaimUpTo(PageCount(40), FrameReach::kLow);
  FrameClaim moved = std::move(low);
  EXPECT_THAT(Populate(*pool, kBob, Pfns(0, 1)),
              ElementsAre(std::pair(Pfn(0), Frames(40, 41))));
  moved = FrameClaim();
  EXPECT_THAT(Populate(*pool, kBob, Pfns(1, 2)),
              ElementsAre(std::pair(Pfn(1), Frames(0, 1))));
}

TEST(FramePoolTest, HighFramesThatComeBackAreFoundBehindPromisedLowOnes) {
  const auto pool = MakeLowPool(Placement::kLowest);
  const FrameClaim low = pool->ClaimUpTo(PageCount(40), FrameReach::kLow);
  Populate(*pool, kBob, Pfns(0, 50));
  pool->Free({Frames(42, 44)});
  EXPECT_THAT(Populate(*pool, kAlice, Pfns(0, 3)),
              ElementsAre(std::pair(Pfn(0), Frames(42, 44)),
                          std::pair(Pfn(2), Frames(90, 91))));
  EXPECT_THAT(pool->CheckInvariants(), IsOk());
}

TEST(FramePoolTest, ThreadsNeverShareAFrame) {
  const auto pool =
      MakePool({Frames(0, 4000)}, 0, Placement::kScatter, 1, Mfn(1500));
  const auto work = [&pool](uint16_t id) {
    std::mt19937_64 random(id);
    for (int round = 0; round < 100; ++round) {
      const FrameReach reach =
          random() % 2 == 0 ? FrameReach::kLow : FrameReach::kAll;
      FrameClaim claim = pool->ClaimUpTo(PageCount(random() % 2000), reach);
      const PfnExtent pfns = {Pfn(0), claim.remaining()};
      std::vector<MfnExtent> mine;
      for (const auto& [pfn, frames] :
           PopulateAll(*pool, claim, DomainId(id), pfns)) {
        mine.push_back(frames);
      }
      for (size_t i = 0; i < mine.size(); ++i) {
        const FrameRun run = pool->Lookup(mine[i].first);
        ASSERT_EQ(run.owner, DomainId(id));
        if (reach == FrameReach::kLow) {
          ASSERT_LT(mine[i].first, Mfn(1500));
        }
        ASSERT_EQ(run.first_pfn, Pfn(i));
      }
      pool->Free(mine);
    }
  };
  std::vector<std::thread> threads;
  for (uint16_t id = 1; id <= 4; ++id) threads.emplace_back(work, id);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool->counts().free, PageCount(4000));
  EXPECT_EQ(pool->counts().claimed, PageCount(0));
  EXPECT_THAT(pool->CheckInvariants(), IsOk());
}

}  // namespace
}  // namespace simvisor
