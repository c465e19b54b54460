// The PMD entries of a list's area, and the listener that hears of changes.

#include <cstdint>
#include <memory>
#include <vector>

#include "domain/p2m/p2m_list.h"
#include "domain/p2m/pmd_listener.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/change_permit.h"
#include "tests/support/p2m_pages.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint64_t kPages = 5000;

// Records each notification, and the state of the list at that moment.
class Recorder : public PmdListener {
 public:
  explicit Recorder(const TestList& list) : list_(list) {}

  void PmdsReplaced(uint64_t first_entry,
                    absl::Span<const Pfn> pte_pages) override {
    for (size_t i = 0; i < pte_pages.size(); ++i) {
      entries.push_back(first_entry + i);
      EXPECT_EQ(list_->PtePageAt(first_entry + i), pte_pages[i]);
    }
    EXPECT_EQ(list_->generation() % 2, 1u) << "no change is under way";
    const Pfn first(first_entry * list_->abi().pte_page_span());
    EXPECT_EQ(list_->Lookup(first), P2mWord::Identity(first))
        << "a word was stored before";
  }

  std::vector<uint64_t> entries;

 private:
  const TestList& list_;
};

// One mid with RAM, followed by two whole mids of identity.
class P2mPmdTest : public testing::TestWithParam<const Abi*> {
 protected:
  P2mPmdTest() {
    EXPECT_THAT(list_.Relocate(Pfn(3 * abi_.mid_span()), source_), IsOk());
    EXPECT_THAT(list_->Publish(source_), IsOk());
    list_->SetPmdListener(&recorder_);
  }

  const Abi& abi_ = *GetParam();
  PagesFrom source_{1 << 20, 2 << 20};
  TestList list_ = BuiltList(abi_, kPages, 0x10000, source_);
  Recorder recorder_{list_};
  const Pfn in_mid_1_{abi_.mid_span() + 77};
};

TEST_P(P2mPmdTest, EntriesOfOneSharedPageNameIt) {
  const uint64_t per_mid = abi_.pmds_per_mid;
  EXPECT_EQ(list_->pmd_entries(), 3 * per_mid);
  const Pfn shared = list_->PtePageAt(per_mid);
  EXPECT_EQ(list_->structure().Find(shared)->role, PageRole::kIdentityPte);
  EXPECT_EQ(list_->PtePageAt(3 * per_mid - 1), shared);
  for (uint64_t i = 0; i < per_mid; ++i) {
    const auto use = list_->structure().Find(list_->PtePageAt(i));
    EXPECT_EQ(use->role, PageRole::kPte);
    EXPECT_EQ(use->index, i);
  }
}

TEST_P(P2mPmdTest, ASplitAnnouncesEachEntryOfItsMidOnce) {
  ASSERT_THAT(list_->Set(kPermit, in_mid_1_, P2mWord::Ram(Mfn(0x99)), source_),
              IsOk());
  std::vector<uint64_t> wanted;
  for (uint64_t i = 0; i < abi_.pmds_per_mid; ++i) {
    wanted.push_back(abi_.pmds_per_mid + i);
  }
  EXPECT_THAT(recorder_.entries, testing::ElementsAreArray(wanted));
  // Another leaf of the mid, and a mid that is already private.
  ASSERT_THAT(list_->Set(kPermit, in_mid_1_ + PageCount(10 * abi_.leaf_span()),
                         P2mWord::Invalid(), source_),
              IsOk());
  ASSERT_THAT(list_->Set(kPermit, Pfn(abi_.mid_span() - 1), P2mWord::Invalid(),
                         source_),
              IsOk());
  EXPECT_EQ(recorder_.entries.size(), abi_.pmds_per_mid);
}

TEST_P(P2mPmdTest, NothingIsAnnouncedThatDoesNotHappen) {
  ASSERT_TRUE(list_->TrySet(kPermit, in_mid_1_, P2mWord::Identity(in_mid_1_)));
  PagesFrom too_few(3 << 20, (3 << 20) + abi_.pmds_per_mid - 1);
  EXPECT_FALSE(list_->AllocEntry(in_mid_1_, too_few).ok());
  EXPECT_THAT(recorder_.entries, IsEmpty());
}

TEST_P(P2mPmdTest, AnEntryThatDidNotFollowShowsTheSharedPage) {
  const uint64_t entry = in_mid_1_.value() / abi_.pte_page_span();
  const Pfn before = list_->PtePageAt(entry);
  EXPECT_EQ(list_->LookupThrough(before, in_mid_1_),
            P2mWord::Identity(in_mid_1_));
  ASSERT_THAT(list_->Set(kPermit, in_mid_1_, P2mWord::Ram(Mfn(0x99)), source_),
              IsOk());
  const Pfn after = list_->PtePageAt(entry);
  ASSERT_NE(after, before);
  EXPECT_EQ(list_->LookupThrough(before, in_mid_1_),
            P2mWord::Identity(in_mid_1_));
  EXPECT_EQ(list_->LookupThrough(after, in_mid_1_), P2mWord::Ram(Mfn(0x99)));
  // A neighbour in the private leaf, and one in a leaf that is still shared.
  for (const uint64_t ahead : {uint64_t{1}, 3 * abi_.leaf_span()}) {
    const Pfn pfn = in_mid_1_ + PageCount(ahead);
    EXPECT_EQ(list_->LookupThrough(after, pfn), P2mWord::Identity(pfn));
  }
}

TEST_P(P2mPmdTest, OnlyPtePagesAreShown) {
  EXPECT_EQ(list_->LookupThrough(Pfn(12), Pfn(0)), P2mWord::Invalid());
  EXPECT_EQ(list_->LookupThrough(list_->tools().root_page(), Pfn(0)),
            P2mWord::Invalid());
}

INSTANTIATE_TEST_SUITE_P(BothAbis, P2mPmdTest,
                         testing::Values(&kAbiX86_64, &kAbiX86_32Pae),
                         [](const auto& param_info) {
                           return std::string(param_info.param->name);
                         });

}  // namespace
}  // namespace simvisor
