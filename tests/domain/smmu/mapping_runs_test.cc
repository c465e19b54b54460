#include "domain/smmu/mapping_runs.h"

#include <map>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/extents.h"
#include "tests/support/random_seed.h"

namespace simvisor {
namespace {

MappingRun Maps(uint64_t pfn, uint64_t mfn, uint64_t count,
                bool writable = false) {
  return {Pfn(pfn), Mfn(mfn), PageCount(count), writable};
}

std::vector<MappingRun> RunsOf(const MappingRuns& records) {
  std::vector<MappingRun> runs;
  records.VisitIn(kEveryPfn, [&runs](const MappingRun& run) {
    runs.push_back(run);
    return true;
  });
  return runs;
}

TEST(MappingRunsTest, RunsThatContinueEachOtherAreMerged) {
  MappingRuns records;
  records.Record(Maps(10, 100, 1));
  records.Record(Maps(12, 102, 1));
  EXPECT_EQ(records.runs(), 2);
  records.Record(Maps(11, 101, 1));
  EXPECT_EQ(RunsOf(records), std::vector{Maps(10, 100, 3)});
}

TEST(MappingRunsTest, NeighboursInOtherFramesOrWithOtherRightsStayApart) {
  MappingRuns records;
  records.Record(Maps(10, 100, 1));
  records.Record(Maps(11, 200, 1));
  records.Record(Maps(12, 201, 1, true));
  EXPECT_EQ(records.runs(), 3);
  EXPECT_EQ(records.writable(), PageCount(1));
}

TEST(MappingRunsTest, RemovingTheMiddleSplitsARun) {
  MappingRuns records;
  records.Record(Maps(10, 100, 10, true));
  EXPECT_EQ(records.Remove(Pfns(13, 15)), PageCount(2));
  EXPECT_EQ(RunsOf(records),
            (std::vector{Maps(10, 100, 3, true), Maps(15, 105, 5, true)}));
  EXPECT_EQ(records.mapped(), PageCount(8));
  EXPECT_EQ(records.writable(), PageCount(8));
}

TEST(MappingRunsTest, ProtectingPartOfARunKeepsItsFrames) {
  MappingRuns records;
  records.Record(Maps(10, 100, 4, true));
  records.Record(Maps(14, 104, 4));
  EXPECT_EQ(records.Protect(Pfns(12, 20)), PageCount(2));
  EXPECT_EQ(RunsOf(records),
            (std::vector{Maps(10, 100, 2, true), Maps(12, 102, 6)}));
}

TEST(MappingRunsTest, ARecordReplacesWhatWasThere) {
  MappingRuns records;
  records.Record(Maps(10, 100, 4, true));
  records.Record(Maps(11, 101, 1));
  EXPECT_EQ(records.Find(Pfn(11)), Maps(11, 101, 1));
  EXPECT_EQ(records.Find(Pfn(12)), Maps(12, 102, 1, true));
  EXPECT_EQ(records.Find(Pfn(14)), std::nullopt);
  EXPECT_FALSE(records.Meets(Pfns(11, 12), true));
  EXPECT_TRUE(records.Meets(Pfns(11, 13), true));
}

void EditAtRandom(uint64_t seed) {
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937_64 random(seed);
  MappingRuns records;
  std::map<uint64_t, std::pair<uint64_t, bool>> pages;
  for (int step = 0; step < 3000; ++step) {
    const uint64_t first = random() % 40;
    const uint64_t count = 1 + random() % 8;
    const int what = static_cast<int>(random() % 4);
    const uint64_t mfn = first + 100 * (random() % 2);
    const bool writable = random() % 2 == 0;
    for (uint64_t i = 0; i < count; ++i) {
      if (what <= 1) pages[first + i] = {mfn + i, writable};
      if (what == 2) pages.erase(first + i);
      if (what == 3 && pages.count(first + i)) pages[first + i].second = false;
    }
    const PfnExtent extent = {Pfn(first), PageCount(count)};
    if (what <= 1) records.Record(Maps(first, mfn, count, writable));
    if (what == 2) records.Remove(extent);
    if (what == 3) records.Protect(extent);
    ASSERT_EQ(records.mapped().value(), pages.size());
    uint64_t writable_pages = 0;
    for (const auto& [pfn, page] : pages) {
      ASSERT_EQ(records.Find(Pfn(pfn)), Maps(pfn, page.first, 1, page.second));
      if (page.second) ++writable_pages;
    }
    ASSERT_EQ(records.writable().value(), writable_pages);
    const auto runs = RunsOf(records);
    for (size_t i = 1; i < runs.size(); ++i) {
      const MappingRun& before = runs[i - 1];
      ASSERT_FALSE(before.pfn + before.count == runs[i].pfn &&
                   before.mfn + before.count == runs[i].mfn &&
                   before.writable == runs[i].writable);
    }
  }
}

TEST(MappingRunsTest, RandomEditsKeepWhatAMapOfPagesKeeps) {
  for (const uint64_t seed : TestSeeds(5)) EditAtRandom(seed);
}

}  // namespace
}  // namespace simvisor
