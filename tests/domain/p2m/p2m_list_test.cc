#include "domain/p2m/p2m_list.h"

#include "gtest/gtest.h"
#include "tests/support/change_permit.h"
#include "tests/support/p2m_pages.h"

namespace simvisor {
namespace {

TEST(P2mListTest, InvalidAndMfn0AreSeparateRuns) {
  PagesFrom pages(1000, 1100);
  auto list = BuiltList(kAbiX86_64, 512, 0x100, pages);
  list.StoreFrames(Pfn(10), {Mfn(0), PageCount(3)});
  list.ClearFrames({Pfn(8), PageCount(2)});
  const P2mRun hole =
      list.RunAt(Pfn(8), Pfn(512), P2mView::kResolved, RunMerge::kByFrame);
  EXPECT_TRUE(hole.word.is_invalid());
  EXPECT_EQ(hole.pfns, (PfnExtent{Pfn(8), PageCount(2)}));
  const P2mRun ram =
      list.RunAt(Pfn(10), Pfn(512), P2mView::kResolved, RunMerge::kByFrame);
  EXPECT_EQ(ram.word, P2mWord::Ram(Mfn(0)));
  EXPECT_EQ(ram.pfns.count, PageCount(3));
}

TEST(P2mListTest, ByClassJoinsFramesThatDoNotFollowEachOther) {
  PagesFrom pages(1000, 1100);
  auto list = BuiltList(kAbiX86_64, 1024, 0x100, pages);
  list.StoreFrames(Pfn(5), {Mfn(0x9000), PageCount(1)});
  EXPECT_EQ(
      list.RunAt(Pfn(0), Pfn(1024), P2mView::kResolved, RunMerge::kByFrame)
          .pfns.count,
      PageCount(5));
  EXPECT_EQ(
      list.RunAt(Pfn(0), Pfn(1024), P2mView::kResolved, RunMerge::kByClass)
          .pfns.count,
      PageCount(1024));
}

TEST(P2mListTest, OneFrameInTwoWordsIsTwoRuns) {
  PagesFrom pages(1000, 1100);
  auto list = BuiltList(kAbiX86_64, 512, 0x100, pages);
  ASSERT_TRUE(list.Relocate(Pfn(0), pages).ok());
  ASSERT_TRUE(list->TrySet(kPermit, Pfn(3), P2mWord::Foreign(Mfn(7))));
  ASSERT_TRUE(list->TrySet(kPermit, Pfn(4), P2mWord::Foreign(Mfn(7))));
  const P2mRun run =
      list->RunAt(Pfn(3), Pfn(5), P2mView::kResolved, RunMerge::kByFrame);
  EXPECT_EQ(run.pfns.count, PageCount(1));
  EXPECT_EQ(list->Summary().foreign, 2);
}

TEST(P2mListTest, ListWithoutPagesForItselfStaysEmpty) {
  TestList list = TestList::Make(kAbiX86_64, Pfn(kAbiX86_64.mid_span()));
  PagesFrom pages(1000, 1001);
  EXPECT_FALSE(list.Build(PageCount(1024), pages).ok());
  EXPECT_EQ(list.words->size(), Pfn(0));
  EXPECT_EQ(pages.returned(), PageCount(1));
  EXPECT_FALSE(list.built.has_value());
}

}  // namespace
}  // namespace simvisor
