// Try-set and alloc-entry (p2m.md A6): what each takes, in which order, and
// what remains after a failure at each step.

#include <cstdint>
#include <memory>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/change_permit.h"
#include "tests/support/p2m_pages.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

constexpr uint64_t kBase = 0x10000;

// A mid of RAM, then three mids of identity, with a tree.
class P2mSetTest : public testing::TestWithParam<Arch> {
 protected:
  P2mSetTest() : abi_(AbiOf(GetParam())) {
    list_ = BuiltList(abi_, abi_.mid_span(), kBase, source_);
    EXPECT_THAT(list_.Relocate(Pfn(4 * abi_.mid_span()), source_), IsOk());
    EXPECT_THAT(list_->Publish(source_), IsOk());
  }
  ~P2mSetTest() override { EXPECT_THAT(list_->CheckInvariants(), IsOk()); }

  Pfn Identity() const { return Pfn(abi_.mid_span() + 5); }
  uint64_t structure() const { return list_->structure().size().value(); }
  // PTE pages of a mid, its tree page, one leaf.
  uint64_t PagesOfFirstLeaf() const { return abi_.pmds_per_mid + 2; }

  const Abi& abi_;
  PagesFrom source_{0, uint64_t{1} << 16};
  TestList list_;
};

TEST_P(P2mSetTest, TrySetStoresOnlyInPrivateLeaves) {
  EXPECT_TRUE(list_->TrySet(kPermit, Pfn(7), P2mWord::Ram(Mfn(0x99))));
  EXPECT_EQ(list_->Lookup(Pfn(7)), P2mWord::Ram(Mfn(0x99)));
  const uint64_t before = structure();
  EXPECT_FALSE(list_->TrySet(kPermit, Identity(), P2mWord::Ram(Mfn(0x99))));
  EXPECT_FALSE(list_->TrySet(kPermit, Identity(), P2mWord::Invalid()));
  EXPECT_FALSE(list_->TrySet(kPermit, Identity(),
                             P2mWord::Identity(Identity() + PageCount(1))));
  EXPECT_EQ(list_->Lookup(Identity()), P2mWord::Identity(Identity()));
  EXPECT_EQ(structure(), before);
}

TEST_P(P2mSetTest, TrySetOfTheSameWordSucceeds) {
  EXPECT_TRUE(
      list_->TrySet(kPermit, Identity(), P2mWord::Identity(Identity())));
  EXPECT_EQ(list_->shape().LeafBacking(Identity().value() / abi_.leaf_span()),
            Backing::kIdentity);
}

TEST_P(P2mSetTest, PastTheEndOnlyInvalidIsTaken) {
  const Pfn end = list_->p2m_size();
  EXPECT_TRUE(list_->TrySet(kPermit, end, P2mWord::Invalid()));
  EXPECT_FALSE(list_->TrySet(kPermit, end, P2mWord::Identity(end)));
  EXPECT_THAT(list_->Set(kPermit, end, P2mWord::Invalid(), source_), IsOk());
  EXPECT_THAT(list_->Set(kPermit, end, P2mWord::Ram(Mfn(1)), source_),
              IsError(Code::kOutOfRange, Reason::kPfnOutOfRange,
                      HasSubstr("the p2m area ends")));
  EXPECT_THAT(list_->AllocEntry(end, source_),
              IsError(Code::kOutOfRange, Reason::kPfnOutOfRange,
                      HasSubstr("the p2m area ends")));
}

TEST_P(P2mSetTest, FirstSetInAMidTakesTablesThenTreePageThenLeaf) {
  const Pfn first = source_.next();
  const uint64_t generation = list_->generation();
  ASSERT_THAT(list_->Set(kPermit, Identity(), P2mWord::Invalid(), source_),
              IsOk());
  EXPECT_EQ((source_.next() - first).value(), PagesOfFirstLeaf());
  for (uint64_t i = 0; i < abi_.pmds_per_mid; ++i) {
    EXPECT_EQ(list_->structure().Find(first + PageCount(i))->role,
              PageRole::kPte);
  }
  const Pfn tree = first + PageCount(abi_.pmds_per_mid);
  EXPECT_EQ(list_->structure().Find(tree)->role, PageRole::kTreeMid);
  EXPECT_EQ(list_->structure().Find(tree + PageCount(1))->role,
            PageRole::kLeaf);
  // +2 for each PTE page and for the leaf.
  EXPECT_EQ(list_->generation() - generation, 2 * (abi_.pmds_per_mid + 1));
  // Its neighbours read as before.
  EXPECT_TRUE(list_->Lookup(Identity()).is_invalid());
  const Pfn next = Identity() + PageCount(1);
  EXPECT_EQ(list_->Lookup(next), P2mWord::Identity(next));
}

TEST_P(P2mSetTest, SecondLeafOfAMidTakesOnlyItsPage) {
  ASSERT_THAT(list_->Set(kPermit, Identity(), P2mWord::Invalid(), source_),
              IsOk());
  const Pfn before = source_.next();
  const Pfn other = Identity() + PageCount(abi_.leaf_span());
  ASSERT_THAT(list_->Set(kPermit, other, P2mWord::Ram(Mfn(0x77)), source_),
              IsOk());
  EXPECT_EQ(source_.next() - before, PageCount(1));
}

TEST_P(P2mSetTest, NothingFoldsBack) {
  ASSERT_THAT(list_->Set(kPermit, Identity(), P2mWord::Invalid(), source_),
              IsOk());
  const uint64_t before = structure();
  ASSERT_THAT(
      list_->Set(kPermit, Identity(), P2mWord::Identity(Identity()), source_),
      IsOk());
  EXPECT_EQ(structure(), before);
  EXPECT_EQ(list_->shape().LeafBacking(Identity().value() / abi_.leaf_span()),
            Backing::kPrivate);
}

TEST_P(P2mSetTest, FailureAtEachStepLeavesWordsAndServesTheNextTry) {
  for (uint64_t have = 0; have < PagesOfFirstLeaf(); ++have) {
    SCOPED_TRACE(absl::StrCat(have, " pages"));
    // Each try in a mid that is still shared.
    const Pfn pfn((1 + have % 3) * abi_.mid_span() + 40);
    if (list_->shape().LeafBacking(pfn.value() / abi_.leaf_span()) !=
        Backing::kIdentity) {
      continue;
    }
    const uint64_t before = structure();
    PagesFrom few(uint64_t{1} << 17, (uint64_t{1} << 17) + have);
    EXPECT_THAT(list_->Set(kPermit, pfn, P2mWord::Ram(Mfn(3)), few),
                IsError(Code::kResourceExhausted, Reason::kGuestMemoryExhausted,
                        HasSubstr("no free page")));
    EXPECT_EQ(list_->Lookup(pfn), P2mWord::Identity(pfn));
    // PTE pages stay all or none; the others stay once taken.
    const uint64_t kept = have < abi_.pmds_per_mid ? 0 : have;
    EXPECT_EQ(structure() - before, kept);
    EXPECT_EQ(few.returned().value(), have - kept);
    EXPECT_THAT(list_->CheckInvariants(), IsOk());
    const Pfn next = source_.next();
    EXPECT_THAT(list_->Set(kPermit, pfn, P2mWord::Ram(Mfn(3)), source_),
                IsOk());
    EXPECT_EQ((source_.next() - next).value(), PagesOfFirstLeaf() - kept);
    EXPECT_EQ(list_->Lookup(pfn), P2mWord::Ram(Mfn(3)));
  }
}

TEST_P(P2mSetTest, AllocEntryChangesNoWord) {
  ASSERT_THAT(list_->AllocEntry(Identity(), source_), IsOk());
  EXPECT_EQ(list_->shape().LeafBacking(Identity().value() / abi_.leaf_span()),
            Backing::kPrivate);
  for (const uint64_t offset : {0, 1, 100}) {
    const Pfn pfn = Identity() + PageCount(offset);
    EXPECT_EQ(list_->Lookup(pfn), P2mWord::Identity(pfn));
  }
  EXPECT_TRUE(list_->TrySet(kPermit, Identity(), P2mWord::Ram(Mfn(4))));
}

TEST_P(P2mSetTest, RangeTakesWhatPagesToSetSays) {
  const PfnExtent pfns = {Identity(), PageCount(5 * abi_.leaf_span())};
  const P2mList::RangeFill fill = P2mList::RangeFill::Missing();
  const PageCount wanted = list_->PagesToSet(pfns, fill);
  EXPECT_EQ(wanted.value(), PagesOfFirstLeaf() + 5);
  const Pfn before = source_.next();
  ASSERT_THAT(list_->PrepareRange(pfns, fill, source_), IsOk());
  EXPECT_EQ(source_.next() - before, wanted);
  EXPECT_EQ(list_->Lookup(Identity()), P2mWord::Identity(Identity()));
  PageCount done;
  PagesFrom none(0, 0);
  ASSERT_THAT(list_->SetRange(kPermit, pfns, fill, none, &done), IsOk());
  EXPECT_EQ(done, pfns.count);
  EXPECT_TRUE(list_->Lookup(pfns.end() - PageCount(1)).is_invalid());
  EXPECT_EQ(list_->PagesToSet(pfns, fill), PageCount(0));
}

TEST_P(P2mSetTest, AllocEntriesSayHowFarTheyGot) {
  const PfnExtent pfns = {Pfn(abi_.mid_span()),
                          PageCount(4 * abi_.leaf_span())};
  PagesFrom few(uint64_t{1} << 17,
                (uint64_t{1} << 17) + PagesOfFirstLeaf() + 1);
  EXPECT_EQ(list_->AllocEntries(pfns, few),
            pfns.first + PageCount(2 * abi_.leaf_span()));
  EXPECT_EQ(list_->AllocEntries(pfns, source_), pfns.end());
}

INSTANTIATE_TEST_SUITE_P(BothAbis, P2mSetTest,
                         testing::Values(Arch::kX86_64, Arch::kX86_32Pae));

TEST(P2mSetPaeTest, NumbersThatA32BitWordCannotHoldAreRefused) {
  PagesFrom source(0, uint64_t{1} << 16);
  auto list = BuiltList(kAbiX86_32Pae, kAbiX86_32Pae.mid_span(), kBase, source);
  ASSERT_THAT(list.Relocate(Pfn(0), source), IsOk());
  EXPECT_THAT(
      list->Set(kPermit, Pfn(1), P2mWord::Ram(Mfn(uint64_t{1} << 30)), source),
      IsError(Code::kOutOfRange, Reason::kMfnNotAddressable,
              HasSubstr("0x40000000")));
  EXPECT_THAT(list->Set(kPermit, Pfn(1),
                        P2mWord::Identity(Pfn(uint64_t{1} << 30)), source),
              IsError(Code::kOutOfRange, Reason::kPfnOutOfRange,
                      HasSubstr("0x40000000")));
  EXPECT_EQ(list->Lookup(Pfn(1)), P2mWord::Ram(Mfn(kBase + 1)));
}

}  // namespace
}  // namespace simvisor
