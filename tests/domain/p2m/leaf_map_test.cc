#include "domain/p2m/leaf_map.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace simvisor {
namespace {

constexpr uint64_t kLeaves = kAbiX86_64.words_per_page;

LeafMap PrivateMid() {
  LeafMap map(kAbiX86_64);
  map.Resize(2);
  map.MakePrivate(1, {Pfn(900), Pfn::None()});
  return map;
}

TEST(LeafMapTest, FreshMidsAreSharedMissing) {
  LeafMap map(kAbiX86_64);
  map.Resize(2);
  EXPECT_EQ(map.MidBacking(1), Backing::kMissing);
  map.SetShared(1, Backing::kIdentity);
  EXPECT_EQ(map.MidBacking(1), Backing::kIdentity);
  EXPECT_TRUE(map.LeafPage(kLeaves).is_none());
  EXPECT_EQ(map.SimilarLeaves(kLeaves + 12), kLeaves - 12);
  EXPECT_TRUE(map.TreePage(1).is_none());
}

TEST(LeafMapTest, MidsFarApartAreIndependent) {
  LeafMap map(kAbiX86_64);
  map.Resize(65536);
  EXPECT_EQ(map.mids(), 65536);
  map.MakePrivate(65535, {Pfn(900), Pfn::None()});
  map.SetShared(64, Backing::kIdentity);
  map.SetShared(200, Backing::kMissing);
  for (const uint64_t mid : {0, 63, 65, 200, 65534}) {
    EXPECT_EQ(map.MidBacking(mid), Backing::kMissing) << mid;
    EXPECT_TRUE(map.TreePage(mid).is_none()) << mid;
    EXPECT_TRUE(map.LeafPage(mid * kLeaves).is_none()) << mid;
  }
  EXPECT_EQ(map.MidBacking(64), Backing::kIdentity);
  EXPECT_EQ(map.MidBacking(65535), Backing::kPrivate);
}

TEST(LeafMapTest, RestIsSharedIdentityUntilItIsChanged) {
  LeafMap map(kAbiX86_64);
  map.Resize(1000);
  map.MakePrivate(70, {Pfn(900), Pfn::None()});
  map.ShareRest(80);
  EXPECT_EQ(map.MidBacking(70), Backing::kPrivate);
  EXPECT_EQ(map.MidBacking(79), Backing::kMissing);
  for (const uint64_t mid : {80, 127, 128, 999}) {
    EXPECT_EQ(map.MidBacking(mid), Backing::kIdentity) << mid;
  }
  map.SetShared(500, Backing::kMissing);
  EXPECT_EQ(map.MidBacking(499), Backing::kIdentity);
  EXPECT_EQ(map.MidBacking(500), Backing::kMissing);
  EXPECT_EQ(map.MidBacking(501), Backing::kIdentity);
}

TEST(LeafMapTest, PrivateMidStartsWithSharedLeaves) {
  const LeafMap map = PrivateMid();
  EXPECT_EQ(map.MidBacking(1), Backing::kPrivate);
  EXPECT_EQ(map.PtePage(1, 0), Pfn(900));
  EXPECT_TRUE(map.LeafPage(kLeaves).is_none());
  EXPECT_EQ(map.SimilarLeaves(kLeaves), kLeaves);
}

TEST(LeafMapTest, WholeMidInConsecutivePages) {
  LeafMap map = PrivateMid();
  map.SetLeafPages(kLeaves, {Pfn(1000), PageCount(kLeaves)});
  EXPECT_EQ(map.LeafPage(kLeaves), Pfn(1000));
  EXPECT_EQ(map.LeafPage(2 * kLeaves - 1), Pfn(1000 + kLeaves - 1));
  EXPECT_EQ(map.SimilarLeaves(kLeaves + 1), kLeaves - 1);
  EXPECT_TRUE(map.LeafPage(0).is_none());
}

TEST(LeafMapTest, LeavesInScatteredPages) {
  LeafMap map = PrivateMid();
  map.SetLeafPages(kLeaves + 10, {Pfn(5000), PageCount(3)});
  map.SetLeafPages(kLeaves + 13, {Pfn(40), PageCount(1)});
  EXPECT_TRUE(map.LeafPage(kLeaves + 9).is_none());
  EXPECT_EQ(map.LeafPage(kLeaves + 12), Pfn(5002));
  EXPECT_EQ(map.LeafPage(kLeaves + 13), Pfn(40));
  EXPECT_EQ(map.SimilarLeaves(kLeaves), 10);
  EXPECT_EQ(map.SimilarLeaves(kLeaves + 11), 3);
  EXPECT_EQ(map.SimilarLeaves(kLeaves + 14), kLeaves - 14);
}

TEST(LeafMapTest, TreePageRemembersHowItWasFilledUntilTheNextBuild) {
  LeafMap map = PrivateMid();
  map.SetTreePage(1, Pfn(77), /*filled_missing=*/true);
  EXPECT_EQ(map.TreePage(1), Pfn(77));
  EXPECT_TRUE(map.TreePageFilledMissing(1));
  map.TreeRebuilt(1);
  EXPECT_FALSE(map.TreePageFilledMissing(1));
}

}  // namespace
}  // namespace simvisor
