// The linear view: page tables under p2m_cr3 that lead to the leaves
// themselves.

#include <array>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "domain/p2m/p2m_list.h"
#include "gtest/gtest.h"
#include "tests/support/change_permit.h"
#include "tests/support/p2m_pages.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

constexpr uint64_t kTablesBase = 0x10000;

TestList LinearList(const Abi& abi, uint64_t pages, uint64_t area,
                    PageSource& source) {
  TestList list =
      TestList::Make(abi, Pfn(area), {.tools_view = ToolsView::kLinear});
  EXPECT_TRUE(list.Build(PageCount(pages), source).ok());
  list.StoreFrames(Pfn(0), {Mfn(kTablesBase), PageCount(pages)});
  EXPECT_TRUE(list.Relocate(Pfn(area), source).ok());
  EXPECT_TRUE(list->Publish(source).ok());
  return list;
}

uint64_t Load(const P2mList& list, Mfn frame, uint64_t bytes, uint64_t index) {
  std::array<char, kPageSize> page;
  const Pfn pfn(frame.value() - kTablesBase);
  EXPECT_TRUE(list.Render(pfn, absl::MakeSpan(page))) << pfn.value();
  uint64_t value = 0;
  std::memcpy(&value, page.data() + index * bytes, bytes);
  return value;
}

Mfn FrameIn(uint64_t entry) {
  return Mfn((entry & ((uint64_t{1} << 52) - 1)) >> kPageShift);
}

// The word of `pfn`, found through the page tables.
uint64_t WordByTables(const P2mList& list, Pfn pfn) {
  const Abi& abi = list.abi();
  const auto root = list.FindToolsRoot();
  EXPECT_TRUE(root.ok());
  const uint64_t address = root->p2m_vaddr + pfn.value() * abi.word_bytes;
  Mfn table = FrameIn(root->p2m_cr3);
  for (int level = abi.page_table_levels; level > 0; --level) {
    const uint64_t index = (address >> (12 + 9 * (level - 1))) % 512;
    const uint64_t entry = Load(list, table, 8, index);
    EXPECT_EQ(entry & 1, 1u) << "level " << level;
    table = FrameIn(entry);
  }
  return Load(list, table, abi.word_bytes, pfn.value() % abi.leaf_span());
}

class PageTablesTest : public testing::TestWithParam<const Abi*> {};

INSTANTIATE_TEST_SUITE_P(Abis, PageTablesTest,
                         testing::Values(&kAbiX86_64, &kAbiX86_32Pae));

TEST_P(PageTablesTest, LeadToEveryWord) {
  const Abi& abi = *GetParam();
  const uint64_t pages = abi.mid_span() + 3 * abi.leaf_span();
  PagesFrom source(256, pages);
  const auto list = LinearList(abi, pages, 4 * abi.mid_span(), source);
  ASSERT_THAT(list->Set(kPermit, Pfn(3 * abi.mid_span() + 5),
                        P2mWord::Ram(Mfn(7)), source),
              IsOk());
  for (const uint64_t pfn :
       {uint64_t{0}, uint64_t{4711}, abi.mid_span() + 1, pages - 1, pages,
        3 * abi.mid_span() + 5, 3 * abi.mid_span() + 6}) {
    // A shared identity leaf holds INVALID, like the missing one.
    EXPECT_EQ(WordByTables(*list, Pfn(pfn)), list->Raw(Pfn(pfn)).ToAbi(abi))
        << pfn;
  }
  EXPECT_THAT(list->CheckInvariants(), IsOk());
}

TEST_P(PageTablesTest, TakeNoTreePages) {
  const Abi& abi = *GetParam();
  const uint64_t pages = abi.mid_span();
  PagesFrom source(256, pages);
  const auto list = LinearList(abi, pages, 2 * abi.mid_span(), source);
  const P2mSummary sum = list->Summary();
  EXPECT_EQ(sum.fixed_frames, 4u);
  EXPECT_EQ(sum.tree_mid_frames, 0u);
  EXPECT_EQ(sum.page_table_frames, abi.page_table_levels == 4 ? 3u : 2u);
  const auto root = list->FindToolsRoot();
  ASSERT_THAT(root, IsOk());
  EXPECT_TRUE(root->root.is_none());
  EXPECT_EQ(root->p2m_vaddr % (uint64_t{1} << 30), 0u);
}

TEST_P(PageTablesTest, SplitMovesTheGenerationAndTheTables) {
  const Abi& abi = *GetParam();
  const uint64_t pages = abi.mid_span();
  PagesFrom source(256, pages);
  const auto list = LinearList(abi, pages, 2 * abi.mid_span(), source);
  EXPECT_EQ(list->generation(), 0u);
  const Pfn pfn(abi.mid_span() + 9);
  ASSERT_THAT(list->Set(kPermit, pfn, P2mWord::Invalid(), source), IsOk());
  EXPECT_EQ(list->generation(), 2 * abi.pmds_per_mid + 2);
  EXPECT_EQ(WordByTables(*list, pfn), abi.invalid_word);
  EXPECT_EQ(WordByTables(*list, pfn + PageCount(1)),
            P2mWord::Identity(pfn + PageCount(1)).ToAbi(abi));
}

TEST_P(PageTablesTest, StaleAfterFramesChangedUntilPublishedAgain) {
  const Abi& abi = *GetParam();
  const uint64_t pages = abi.mid_span();
  PagesFrom source(256, pages);
  auto list = LinearList(abi, pages, abi.mid_span(), source);
  const uint64_t old_cr3 = list->FindToolsRoot()->p2m_cr3;
  ASSERT_THAT(list.ReplaceFrames([](PfnExtent pfns) -> MfnExtent {
    return {Mfn(kTablesBase + 1 + pfns.first.value()), pfns.count};
  }),
              IsOk());
  const absl::Status stale = list->FindToolsRoot().status();
  EXPECT_EQ(stale.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(stale), "P2M_TREE_STALE");
  const Pfn taken = source.next();
  ASSERT_THAT(list->Publish(source), IsOk());
  EXPECT_EQ(source.next(), taken);
  EXPECT_EQ(list->FindToolsRoot()->p2m_cr3, old_cr3 + kPageSize);
}

TEST(PageTablesTest, AreaOfMoreThanOneLevelTwoPage) {
  const Abi& abi = kAbiX86_64;
  const uint64_t area = 3 * abi.max_p2m_pfn();
  PagesFrom source(256, 8192);
  const auto list = LinearList(abi, 8192, area, source);
  EXPECT_EQ(list->Summary().page_table_frames, 2 + 3u);
  EXPECT_EQ(WordByTables(*list, Pfn(area - 1)), abi.invalid_word);
}

TEST(PageTablesTest, PaeCr3FoldsHighFrames) {
  EXPECT_EQ(kAbiX86_32Pae.Cr3Of(Mfn(0x12345)), 0x12345000u);
  EXPECT_EQ(kAbiX86_32Pae.Cr3Of(Mfn(0x1234567)), 0x34567012u);
  EXPECT_EQ(kAbiX86_64.Cr3Of(Mfn(0x1234567)), 0x1234567000u);
}

}  // namespace
}  // namespace simvisor
