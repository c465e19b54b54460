#include "domain/guest/guest_load.h"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/extents.h"

namespace simvisor {
namespace {

using testing::ElementsAre;

LoadSpec SpecOf(LoadPattern pattern, uint64_t pages, uint64_t seed = 1) {
  return {.pages_per_second = 1000,
          .working_set = PageCount(pages),
          .pattern = pattern,
          .seed = seed};
}

std::vector<uint64_t> FirstPages(const LoadSpec& spec, uint64_t writes) {
  std::vector<uint64_t> pages;
  for (uint64_t n = 0; n < writes; ++n) pages.push_back(PageOfWrite(spec, n));
  return pages;
}

// Five pages in three extents.
GuestLoad MakeLoad(LoadPattern pattern = LoadPattern::kSequential) {
  PfnSet pages;
  pages.Add(Pfns(900, 901));
  pages.Add(Pfns(300, 302));
  pages.Add(Pfns(500, 502));
  return GuestLoad(SpecOf(pattern, 5, 7), pages);
}

TEST(GuestLoadPatternTest, SequentialGoesRound) {
  EXPECT_THAT(FirstPages(SpecOf(LoadPattern::kSequential, 3), 7),
              ElementsAre(0, 1, 2, 0, 1, 2, 0));
}

// Both follow from splitmix64 started from 1, computed elsewhere.
TEST(GuestLoadPatternTest, RandomAndHotspotFollowFromTheSeed) {
  EXPECT_THAT(FirstPages(SpecOf(LoadPattern::kRandom, 1000), 8),
              ElementsAre(465, 519, 590, 235, 761, 48, 45, 533));
  EXPECT_THAT(FirstPages(SpecOf(LoadPattern::kHotspot, 1000), 16),
              ElementsAre(46, 251, 59, 23, 76, 4, 4, 53, 52, 95, 73, 87, 78, 52,
                          81, 573));
}

TEST(GuestLoadPatternTest, SeedsDiffer) {
  EXPECT_NE(FirstPages(SpecOf(LoadPattern::kRandom, 1000, 1), 20),
            FirstPages(SpecOf(LoadPattern::kRandom, 1000, 2), 20));
}

TEST(GuestLoadPatternTest, HotspotHasNineOfTenWritesInTheFirstTenth) {
  const LoadSpec spec = SpecOf(LoadPattern::kHotspot, 200);
  uint64_t hot = 0;
  std::set<uint64_t> seen;
  for (uint64_t n = 0; n < 100000; ++n) {
    const uint64_t page = PageOfWrite(spec, n);
    ASSERT_LT(page, 200u);
    if (page < 20) ++hot;
    seen.insert(page);
  }
  EXPECT_NEAR(static_cast<double>(hot), 90000, 500);
  EXPECT_EQ(seen.size(), 200u);
}

TEST(GuestLoadPatternTest, SmallestWorkingSetsAreWrittenToo) {
  for (const LoadPattern pattern :
       {LoadPattern::kSequential, LoadPattern::kRandom,
        LoadPattern::kHotspot}) {
    for (uint64_t n = 0; n < 100; ++n) {
      EXPECT_EQ(PageOfWrite(SpecOf(pattern, 1), n), 0u);
      EXPECT_LT(PageOfWrite(SpecOf(pattern, 2), n), 2u);
    }
  }
}

// Bytes computed elsewhere.
TEST(GuestLoadSpecTest, ZerosBecomeWhatFitsTheGuest) {
  LoadSpec spec;
  spec.pages_per_second = 0;
  spec.working_set = PageCount(0);
  spec.seed = 7;
  const LoadSpec fitted = spec.FitTo(PageCount(1001));
  EXPECT_EQ(fitted.pages_per_second, 1000u);
  EXPECT_EQ(fitted.working_set, PageCount(250));
  EXPECT_EQ(fitted.seed, 7u);
  EXPECT_EQ(spec.FitTo(PageCount(0)).working_set, PageCount(1));
  EXPECT_EQ(spec.FitTo(PageCount(65535)).working_set, PageCount(16383));
  EXPECT_EQ(spec.FitTo(PageCount(1 << 20)).working_set, PageCount(16384));
}

TEST(GuestLoadSpecTest, GivenNumbersAreKept) {
  LoadSpec spec;
  spec.pages_per_second = 5;
  spec.working_set = PageCount(300);
  EXPECT_EQ(spec.FitTo(PageCount(100)), spec);
  spec.pages_per_second = 0;
  EXPECT_EQ(spec.FitTo(PageCount(100)).working_set, PageCount(300));
}

TEST(GuestLoadPageTest, ContentFollowsFromSeedPageAndWrite) {
  Page page;
  FillPage(SpecOf(LoadPattern::kRandom, 10, 7), 3, 0x0102, page);
  const absl::string_view bytes(page.data(), page.size());
  EXPECT_EQ(absl::BytesToHexString(bytes.substr(0, 24)),
            "0201000000000000"
            "3e8a7f86109a123f"
            "1e094da8c07a5675");
  EXPECT_EQ(absl::BytesToHexString(bytes.substr(4088)), "7e39de007cd67b70");
}

TEST(GuestLoadPageTest, EveryPageAndWriteLeavesSomethingElse) {
  const LoadSpec spec = SpecOf(LoadPattern::kRandom, 10);
  std::set<std::string> words;
  for (uint64_t index = 0; index < 10; ++index) {
    for (uint64_t n = 0; n < 10; ++n) {
      Page page;
      FillPage(spec, index, n, page);
      words.emplace(page.data() + 8, 8);
    }
  }
  EXPECT_EQ(words.size(), 100u);
}

TEST(GuestLoadTest, PagesAreNumberedByAscendingPfn) {
  const GuestLoad load = MakeLoad();
  std::vector<uint64_t> pfns;
  for (uint64_t i = 0; i < 5; ++i) pfns.push_back(load.PageAt(i).value());
  EXPECT_THAT(pfns, ElementsAre(300, 301, 500, 501, 900));
  EXPECT_THAT(load.PagesFrom(0, 9),
              ElementsAre(Pfns(300, 302), Pfns(500, 502), Pfns(900, 901)));
  EXPECT_THAT(load.PagesFrom(3, 1), ElementsAre(Pfns(501, 502)));
  EXPECT_THAT(load.PagesFrom(4, 9), ElementsAre(Pfns(900, 901)));
  EXPECT_THAT(load.PagesFrom(5, 9), ElementsAre());
}

TEST(GuestLoadTest, TouchesOnlyItsOwnPages) {
  const GuestLoad load = MakeLoad();
  EXPECT_FALSE(load.Intersects(Pfns(0, 300)));
  EXPECT_TRUE(load.Intersects(Pfns(0, 301)));
  EXPECT_FALSE(load.Intersects(Pfns(302, 500)));
  EXPECT_TRUE(load.Intersects(Pfns(302, 1000)));
}

TEST(GuestLoadTest, WritesAreCountedAndFollowThePattern) {
  GuestLoad load = MakeLoad(LoadPattern::kRandom);
  for (uint64_t n = 0; n < 20; ++n) {
    const uint64_t index = PageOfWrite(load.spec(), n);
    Page page, expected;
    EXPECT_EQ(load.NextWrite(page), load.PageAt(index));
    FillPage(load.spec(), index, n, expected);
    EXPECT_EQ(page, expected);
  }
  EXPECT_EQ(load.writes(), 20u);
}

TEST(GuestLoadTest, LastWritesAreThoseOfAPlainReplay) {
  for (const LoadPattern pattern :
       {LoadPattern::kSequential, LoadPattern::kRandom,
        LoadPattern::kHotspot}) {
    const LoadSpec spec = SpecOf(pattern, 37);
    LastWrites last(spec);
    std::vector<Page> pages(37);
    uint64_t done = 0;
    for (const uint64_t end : {0, 1, 20, 36, 37, 38, 75, 1000}) {
      for (; done < end; ++done) {
        const uint64_t index = PageOfWrite(spec, done);
        FillPage(spec, index, done, pages[index]);
      }
      while (!last.Follow(end, 7)) {
      }
      for (uint64_t index = 0; index < 37; ++index) {
        Page expected;
        last.Expect(index, expected);
        EXPECT_EQ(expected, pages[index]) << index << " after " << end;
      }
    }
  }
}

TEST(GuestLoadTest, LastWritesOfAnyNumberAreFoundInAFewSteps) {
  for (const LoadPattern pattern :
       {LoadPattern::kSequential, LoadPattern::kRandom,
        LoadPattern::kHotspot}) {
    const LoadSpec spec = SpecOf(pattern, 37);
    LastWrites last(spec);
    const uint64_t end = uint64_t{1} << 62;
    EXPECT_TRUE(last.Follow(end, 20000));
    EXPECT_TRUE(last.Follow(end + 5, 5));
    for (uint64_t n = end + 5; n > end - 20; --n) {
      const uint64_t index = PageOfWrite(spec, n - 1);
      bool later = false;
      for (uint64_t m = n; m < end + 5; ++m) {
        later = later || PageOfWrite(spec, m) == index;
      }
      if (later) continue;
      Page found, expected;
      last.Expect(index, found);
      FillPage(spec, index, n - 1, expected);
      EXPECT_EQ(found, expected);
    }
  }
}

TEST(GuestLoadCodecTest, LoadComesBackWithItsCount) {
  GuestLoad load = MakeLoad(LoadPattern::kHotspot);
  Page page;
  for (int i = 0; i < 300; ++i) load.NextWrite(page);
  StateWriter out;
  load.Encode(out);
  StateReader in(out.bytes());
  std::optional<GuestLoad> again = GuestLoad::Decode(in, Pfn(901));
  EXPECT_TRUE(in.done());
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->spec(), load.spec());
  EXPECT_EQ(again->writes(), 300u);
  EXPECT_EQ(again->pages().extents(), load.pages().extents());
  Page next;
  EXPECT_EQ(again->NextWrite(next), load.NextWrite(page));
  EXPECT_EQ(next, page);
}

// 1000 per second, sequential, seed 7, 2 writes, three extents.
TEST(GuestLoadCodecTest, BytesAreThese) {
  GuestLoad load = MakeLoad();
  Page page;
  load.NextWrite(page);
  load.NextWrite(page);
  StateWriter out;
  load.Encode(out);
  EXPECT_EQ(absl::BytesToHexString(out.bytes()),
            "e807"
            "00"
            "07"
            "02"
            "03"
            "ac0202"
            "f40302"
            "840701");
}

TEST(GuestLoadCodecTest, NonsenseIsRefused) {
  const auto refused = [](std::vector<uint64_t> numbers) {
    StateWriter out;
    for (const uint64_t number : numbers) out.Put(number);
    StateReader in(out.bytes());
    return !GuestLoad::Decode(in, Pfn(1000)).has_value() && !in.ok();
  };
  EXPECT_FALSE(refused({1000, 0, 7, 2, 1, 300, 5}));
  EXPECT_TRUE(refused({0, 0, 7, 2, 1, 300, 5}));
  EXPECT_TRUE(refused({10000001, 0, 7, 2, 1, 300, 5}));
  EXPECT_TRUE(refused({1000, 3, 7, 2, 1, 300, 5}));
  EXPECT_TRUE(refused({1000, 0, 7, 2, 0}));
  EXPECT_TRUE(refused({1000, 0, 7, 2, 1, 300, 0}));
  EXPECT_TRUE(refused({1000, 0, 7, 2, 1, 999, 2}));
  EXPECT_TRUE(refused({1000, 0, 7, 2, 2, 300, 5}));
  EXPECT_TRUE(refused({1000, 0, 7}));
  EXPECT_TRUE(refused({1000, 0, 7, 2, 2, 300, 5, 305, 5}));
  EXPECT_FALSE(refused({1000, 0, 7, uint64_t{1} << 63, 1, 300, 5}));
  EXPECT_TRUE(refused({1000, 0, 7, (uint64_t{1} << 63) + 1, 1, 300, 5}));
}

}  // namespace
}  // namespace simvisor
