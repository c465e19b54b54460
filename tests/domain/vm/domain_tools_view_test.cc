// The two views that tools have of a domain's list, and compact room to
// balloon.

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;

constexpr uint64_t kViewedPages = 4000;

DomainSpec Spec(ToolsView view, BalloonRoom room, uint64_t max_memory) {
  DomainSpec spec = MakeSpec("a", kViewedPages, max_memory);
  spec.p2m = {view, room};
  return spec;
}

TEST(DomainToolsViewTest, TreeHasARootAndNoPageTables) {
  const auto host = MakeHost(10000);
  const auto domain = MustCreate(
      *host, Spec(ToolsView::kTree, BalloonRoom::kFaithful, kViewedPages));
  const auto found = domain->p2m().FindMfnListList();
  ASSERT_THAT(found, IsOk());
  EXPECT_LT(found->root.root, host->max_mfn());
  EXPECT_EQ(found->root.p2m_cr3, 0u);
  EXPECT_EQ(found->root.p2m_vaddr, 0u);
}

TEST(DomainToolsViewTest, LinearListIsReadByMfnFromCr3) {
  const auto host = MakeHost(10000);
  const auto domain = MustCreate(
      *host, Spec(ToolsView::kLinear, BalloonRoom::kFaithful, kViewedPages));
  const auto found = domain->p2m().FindMfnListList();
  ASSERT_THAT(found, IsOk());
  EXPECT_TRUE(found->root.root.is_none());
  std::array<char, kPageSize> page;
  uint64_t entry = found->root.p2m_cr3;
  for (int level = 4; level > 0; --level) {
    bool zero = true;
    const Mfn table((entry & ((uint64_t{1} << 52) - 1)) >> kPageShift);
    ASSERT_THAT(host->ReadFrame(table, absl::MakeSpan(page), &zero), IsOk());
    ASSERT_FALSE(zero) << level;
    const uint64_t index =
        found->root.p2m_vaddr >> (kPageShift + 9 * (level - 1)) & 511;
    std::memcpy(&entry, page.data() + index * 8, 8);
    EXPECT_EQ(entry & 1, 1u) << level;
  }
  bool zero = true;
  const Mfn leaf((entry & ((uint64_t{1} << 52) - 1)) >> kPageShift);
  ASSERT_THAT(host->ReadFrame(leaf, absl::MakeSpan(page), &zero), IsOk());
  uint64_t word = 0;
  std::memcpy(&word, page.data() + 8 * 300, 8);
  EXPECT_EQ(word, WordOf(*domain, 300).Number());
  ExpectClean(*host, kDom0Pages + kViewedPages);
}

TEST(DomainToolsViewTest, CompactRoomTakesItsLeavesWhenItIsUsed) {
  const auto host = MakeHost(20000);
  const auto domain =
      MustCreate(*host, Spec(ToolsView::kTree, BalloonRoom::kCompact, 10000));
  ASSERT_THAT(
      domain->balloon().SetMaximum({"set maximum memory"}, PageCount(10000)),
      IsOk());
  const uint64_t leaves = domain->p2m().Summary()->summary.leaf_frames;
  EXPECT_EQ(leaves, 8u + 1u);  // the leaf that the room ends in is mixed
  EXPECT_EQ(
      domain->balloon().Up({"balloon up"}, PageCount(1000), false)->value(),
      1000);
  EXPECT_TRUE(WordOf(*domain, 9999).is_ram());
  EXPECT_TRUE(WordOf(*domain, 8999).is_invalid());
  EXPECT_EQ(domain->p2m().Summary()->summary.leaf_frames, leaves + 2);
  ExpectClean(*host, kDom0Pages + kViewedPages + 1000);
}

TEST(DomainToolsViewTest, CompactRoomNeedsFreePagesToGrowInto) {
  const auto host = MakeHost(20000);
  const auto domain =
      MustCreate(*host, Spec(ToolsView::kTree, BalloonRoom::kCompact, 300000));
  ASSERT_THAT(
      domain->balloon().SetMaximum({"set maximum memory"}, PageCount(300000)),
      IsOk());
  // What the guest gave lies on top of the balloon, in private leaves.
  ASSERT_THAT(
      domain->balloon().Down({"balloon down"}, PageCount(kViewedPages), true),
      IsOk());
  EXPECT_EQ(domain->Info().memory.available.value(), 0u);
  EXPECT_THAT(domain->balloon().Up({"balloon up"}, PageCount(1), false),
              IsOk());
  ASSERT_THAT(domain->balloon().Down({"balloon down"}, PageCount(1), false),
              IsOk());

  // With identity in those words, only fresh room is left.
  for (const P2mRun& run : RunsByClass(*domain, Pfn(0), Pfn(kViewedPages))) {
    if (!run.word.is_invalid()) continue;
    ASSERT_THAT(domain->p2m().MarkIdentity({"mark identity"}, run.pfns.first,
                                           run.pfns.end(), false),
                IsOk());
  }
  const uint64_t before = domain->Info().memory.current.value();
  EXPECT_THAT(domain->balloon().Up({"balloon up"}, PageCount(600), false),
              IsError(Code::kResourceExhausted, Reason::kGuestMemoryExhausted,
                      testing::HasSubstr("0 free pages")));
  EXPECT_EQ(domain->balloon().Up({"balloon up"}, PageCount(600), true)->value(),
            0u);
  ExpectClean(*host, kDom0Pages + before);
}

}  // namespace
}  // namespace simvisor
