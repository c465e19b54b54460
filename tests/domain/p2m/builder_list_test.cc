#include "domain/p2m/builder_list.h"

#include <array>
#include <cstring>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/change_permit.h"
#include "tests/support/p2m_pages.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

constexpr uint64_t kBuilderBase = 0x100;

// Words of three leaves, the last of them half used, with a frame at each pfn.
class FoundListTest : public testing::TestWithParam<const Abi*> {
 protected:
  FoundListTest() {
    list_.words->Resize(Pfn(3 * span_));
    list_.StoreFrames(Pfn(0), {Mfn(kBuilderBase), pages_});
  }

  absl::StatusOr<BuilderList> Found(const std::vector<uint64_t>& leaves) {
    std::vector<Pfn> pfns;
    for (const uint64_t leaf : leaves) pfns.push_back(Pfn(leaf));
    return BuilderList::Found(*list_.words, pages_, pfns);
  }

  const Abi& abi_ = *GetParam();
  const uint64_t span_ = abi_.leaf_span();
  const PageCount pages_{5 * span_ / 2};
  TestList list_ = TestList::Make(abi_, Pfn(abi_.mid_span()));
};

TEST_P(FoundListTest, IsWhereItsBuilderPutIt) {
  const auto found = Found({700, 701, 40});
  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->end(), Pfn(3 * span_));
  EXPECT_EQ(found->max_pfn(), Pfn(3 * span_));
  EXPECT_EQ(found->pages().size(), PageCount(3));
  EXPECT_EQ(found->pages().Find(Pfn(701))->index, 1u);
  EXPECT_EQ(found->pages().Find(Pfn(40))->index, 2u);
  EXPECT_EQ(found->pages_by_leaf().size(), 2u);
  EXPECT_EQ(found->Summary().private_leaves, 3u);
  EXPECT_EQ(found->Summary().ram, pages_.value());
}

TEST_P(FoundListTest, PagesHoldItsWords) {
  const auto found = Found({700, 40, 41});
  ASSERT_THAT(found, IsOk());
  std::array<char, kPageSize> page;
  ASSERT_TRUE(found->Render(Pfn(40), absl::MakeSpan(page)));
  uint64_t word = 0;
  std::memcpy(&word, page.data() + 3 * abi_.word_bytes, abi_.word_bytes);
  EXPECT_EQ(word, kBuilderBase + span_ + 3);
  EXPECT_FALSE(found->Render(Pfn(42), absl::MakeSpan(page)));
}

TEST_P(FoundListTest, NeedsAPageForEachLeaf) {
  EXPECT_THAT(Found({700, 701}),
              IsError(Code::kInvalidArgument, Reason::kRangeInvalid,
                      HasSubstr("2 pages for 3 leaves")));
  EXPECT_THAT(Found({700, 701, 702, 703}),
              IsError(Code::kInvalidArgument, Reason::kRangeInvalid,
                      HasSubstr("4 pages for 3 leaves")));
}

TEST_P(FoundListTest, PagesAreTheDomainsAndHaveFrames) {
  const std::vector<uint64_t> behind = {pages_.value(), 3 * span_,
                                        ~uint64_t{0} - 1, ~uint64_t{0}};
  for (const uint64_t page : behind) {
    EXPECT_THAT(Found({700, page, 702}),
                IsError(Code::kOutOfRange, Reason::kPfnOutOfRange,
                        HasSubstr("leaf 1")));
  }
  list_.ClearFrames({Pfn(702), PageCount(1)});
  EXPECT_THAT(Found({700, 701, 702}),
              IsError(Code::kFailedPrecondition, Reason::kPfnNotRam,
                      HasSubstr("leaf 2")));
}

TEST_P(FoundListTest, NoPageHoldsTwoLeaves) {
  EXPECT_THAT(Found({700, 701, 700}),
              IsError(Code::kFailedPrecondition, Reason::kPageInUseByKernel,
                      HasSubstr("leaf 2 is in pfn 0x2bc")));
}

// Its shared leaves are named once for each place.
TEST_P(FoundListTest, AForeignKernelsPagesMayHoldMoreThanOneLeaf) {
  const auto list = BuilderList::OfForeignKernel(
      *list_.words, {700, 701, 700, 702}, [] { return absl::OkStatus(); });
  ASSERT_THAT(list, IsOk());
  EXPECT_EQ(list->pages().size(), PageCount(3));
  EXPECT_EQ(list->pages().Find(Pfn(700))->index, 0u);
  EXPECT_EQ(list->pages().Find(Pfn(702))->index, 3u);
  EXPECT_EQ(list->leaves(), 4u);
  const auto stopped = BuilderList::OfForeignKernel(
      *list_.words, {700}, [] { return absl::CancelledError("no"); });
  EXPECT_EQ(stopped.status().code(), Code::kCancelled);
}

INSTANTIATE_TEST_SUITE_P(BothAbis, FoundListTest,
                         testing::Values(&kAbiX86_64, &kAbiX86_32Pae),
                         [](const auto& param_info) {
                           return std::string(param_info.param->name);
                         });

TEST(BuilderListTest, RoomReadsInvalidBelowTheEndOfWhatWasAddedLast) {
  PagesFrom pages(100, 200);
  TestList list = BuiltList(kAbiX86_64, 1000, kBuilderBase, pages);
  BuilderList& built = *list.built;
  EXPECT_EQ(built.Lookup(Pfn(1000)), P2mWord::Invalid());
  EXPECT_EQ(built.Lookup(Pfn(1024)), P2mWord::Identity(Pfn(1024)));
  built.AddExtraRegion({Pfn(2000), PageCount(100)});
  built.AddExtraRegion({Pfn(1500), PageCount(100)});
  EXPECT_EQ(built.max_pfn(), Pfn(1600));
  EXPECT_EQ(built.Lookup(Pfn(1599)), P2mWord::Invalid());
  EXPECT_EQ(built.Lookup(Pfn(2000)), P2mWord::Identity(Pfn(2000)));
  built.RemoveExtraRegion({Pfn(1599), PageCount(1)});
  EXPECT_EQ(built.Lookup(Pfn(1599)), P2mWord::Identity(Pfn(1599)));
}

TEST(BuilderListTest, IdentityIsMarkedInTheListOnly) {
  PagesFrom pages(100, 200);
  TestList list = BuiltList(kAbiX86_64, 1000, kBuilderBase, pages);
  BuilderList& built = *list.built;
  EXPECT_EQ(built.MarkIdentity(kPermit, Pfn(1000), Pfn(5000)), PageCount(24));
  EXPECT_EQ(built.MarkIdentity(kPermit, Pfn(20), Pfn(10)), PageCount(0));
  EXPECT_EQ(built.MarkIdentity(kPermit, Pfn(1024), Pfn::None()), PageCount(0));
  EXPECT_EQ(built.Lookup(Pfn(1000)), P2mWord::Identity(Pfn(1000)));
  EXPECT_EQ(built.Lookup(Pfn(15)), P2mWord::Ram(Mfn(kBuilderBase + 15)));
}

}  // namespace
}  // namespace simvisor
