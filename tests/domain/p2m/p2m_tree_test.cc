// What the pages of a list and of its tree hold, byte for byte.

#include <array>
#include <cstring>

#include "domain/p2m/p2m_list.h"
#include "gtest/gtest.h"
#include "tests/support/change_permit.h"
#include "tests/support/p2m_pages.h"

namespace simvisor {
namespace {

constexpr uint64_t kTreeBase = 0x40000;

// Two leaves of RAM and an area of two mids; pages at pfns 100 and up.
class P2mTreeTest : public testing::TestWithParam<const Abi*> {
 protected:
  P2mTreeTest() : pages_(100, 1000) {
    list_ = BuiltList(abi(), 2 * abi().leaf_span(), kTreeBase, pages_);
    EXPECT_TRUE(list_.Relocate(Pfn(2 * abi().mid_span()), pages_).ok());
    EXPECT_TRUE(list_->Publish(pages_).ok());
  }

  const Abi& abi() const { return *GetParam(); }

  // Entry `index` of the page whose frame is `mfn`.
  uint64_t Entry(uint64_t mfn, uint64_t index, uint64_t bytes) const {
    std::array<char, kPageSize> page;
    EXPECT_TRUE(list_->Render(Pfn(mfn - kTreeBase), absl::MakeSpan(page)));
    uint64_t value = 0;
    std::memcpy(&value, page.data() + index * bytes, bytes);
    return value;
  }
  uint64_t Word(uint64_t mfn, uint64_t index) const {
    return Entry(mfn, index, abi().word_bytes);
  }
  uint64_t Top() const {
    return kTreeBase + list_->tools().root_page().value();
  }

  PagesFrom pages_;
  TestList list_;
};

TEST_P(P2mTreeTest, TopNamesTheMidAndMidMissingForTheRest) {
  const uint64_t mid = Word(Top(), 0);
  const uint64_t mid_missing = Word(Top(), 1);
  EXPECT_NE(mid, mid_missing);
  EXPECT_EQ(Word(Top(), abi().words_per_page - 1), mid_missing);
  const uint64_t missing = Word(mid_missing, 0);
  EXPECT_EQ(Word(missing, 0), abi().invalid_word);
  EXPECT_NE(Word(mid, 2), missing);  // p2m_identity, of the same content
  EXPECT_EQ(Word(Word(mid, 2), 5), abi().invalid_word);
}

TEST_P(P2mTreeTest, LeavesHoldTheWordsInTheGuestsWidth) {
  const uint64_t second = Word(Word(Top(), 0), 1);
  EXPECT_EQ(Word(second, 3), kTreeBase + abi().leaf_span() + 3);
  const Pfn marked(abi().leaf_span() + 4);
  ASSERT_TRUE(list_->TrySet(kPermit, marked, P2mWord::Identity(marked)));
  EXPECT_EQ(Word(second, 4), marked.value() | abi().identity_bit);
}

TEST_P(P2mTreeTest, PtesMapLeavesWritableAndConstantLeavesReadOnly) {
  uint64_t pte_page = 0;
  list_->structure().ForEach([&](PfnExtent extent) {
    for (Pfn at = extent.first; at < extent.end(); at += PageCount(1)) {
      const auto use = list_->structure().Find(at);
      if (use->role == PageRole::kPte && use->index == 0) {
        pte_page = kTreeBase + at.value();
      }
    }
  });
  ASSERT_NE(pte_page, 0);
  const uint64_t mid = Word(Top(), 0);
  // Xen adds the user bit and bit 52 to what a 64-bit kernel wrote.
  const uint64_t high = abi().page_table_levels == 4
                            ? uint64_t{1} << 63 | uint64_t{1} << 52 | 0x4
                            : uint64_t{1} << 63;
  EXPECT_EQ(Entry(pte_page, 1, 8), high | (Word(mid, 1) << 12) | 0x63);
  EXPECT_EQ(Entry(pte_page, 2, 8), high | (Word(mid, 2) << 12) | 0x61);
}

TEST_P(P2mTreeTest, PageAddedByASetReadsMissingUntilTheNextBuild) {
  const Pfn pfn(abi().mid_span() + 7);
  ASSERT_TRUE(list_->Set(kPermit, pfn, P2mWord::Ram(Mfn(9)), pages_).ok());
  const uint64_t mid = Word(Top(), 1);
  EXPECT_EQ(Word(Word(mid, 0), 7), 9);
  const uint64_t missing = Word(mid, 1);
  ASSERT_TRUE(list_->Publish(pages_).ok());
  EXPECT_NE(Word(mid, 1), missing);
  EXPECT_EQ(list_->generation(), 0);
}

TEST_P(P2mTreeTest, PageOutsideTheListIsNotRendered) {
  std::array<char, kPageSize> page;
  EXPECT_FALSE(list_->Render(Pfn(5), absl::MakeSpan(page)));
}

INSTANTIATE_TEST_SUITE_P(BothAbis, P2mTreeTest,
                         testing::Values(&kAbiX86_64, &kAbiX86_32Pae),
                         [](const auto& abi) {
                           return std::string(abi.param->name);
                         });

}  // namespace
}  // namespace simvisor
