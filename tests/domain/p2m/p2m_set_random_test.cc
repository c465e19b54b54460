// Random sets on a p2m list whose pages run out, compared with a plain model.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "domain/p2m/p2m_list.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/change_permit.h"
#include "tests/support/limited_pages.h"
#include "tests/support/p2m_list_model.h"
#include "tests/support/p2m_pages.h"
#include "tests/support/random_seed.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using Fill = P2mList::RangeFill;

class ListUnderTest {
 public:
  ListUnderTest(const Abi& abi, uint64_t seed) : abi_(abi), random_(seed) {
    Boot();
  }

  void Step() {
    source_.longest = 1 + Pick(600);
    source_.left = Pick(3) == 0 ? Pick(8) : Pick(3000);
    const uint64_t left = source_.left;
    const uint64_t taken = source_.taken;
    switch (Pick(6)) {
      case 0:
        SetOne(left);
        break;
      case 1:
        TrySetOne();
        break;
      case 2:
        AllocOne(left);
        break;
      default:
        SetMany(left, taken);
        break;
    }
    CheckStructure();
  }

  void CheckWords() {
    const Pfn end = list_->p2m_size();
    ASSERT_EQ(end.value(), model_->size());
    for (Pfn at(0); at < end;) {
      const P2mRun run =
          list_->RunAt(at, end, P2mView::kResolved, RunMerge::kByFrame);
      ASSERT_EQ(run.pfns.first, at);
      for (uint64_t i = 0; i < run.pfns.count.value(); ++i) {
        const P2mWord word = run.word.is_invalid()
                                 ? run.word
                                 : P2mWord::FromRaw(run.word.raw() + i);
        const P2mWord expected = model_->Lookup(at.value() + i);
        ASSERT_TRUE(word == expected)
            << at.value() + i << " reads " << word.ToString() << ", not "
            << expected.ToString();
      }
      at = run.pfns.end();
    }
  }

 private:
  uint64_t Pick(uint64_t below) { return random_() % below; }

  void Boot() {
    const uint64_t capacity = 3 * abi_.mid_span();
    list_ = TestList::Make(abi_, Pfn(capacity));
    const uint64_t pages = 1 + Pick(5 * kAbiX86_64.mid_span() / 4);
    model_ = std::make_unique<P2mListModel>(abi_);
    uint64_t left = source_.left;
    ASSERT_THAT(list_.Build(PageCount(pages), source_), IsOk());
    ASSERT_TRUE(model_->Build(pages, &left));
    list_.StoreFrames(Pfn(0), {Mfn(5000), PageCount(pages)});
    model_->SetRange(0, pages, Fill::Ram(Mfn(5000)), &left);
    const uint64_t built = list_.built->end().value();
    for (int i = 0; i < 8; ++i) {
      const uint64_t first = Pick(built);
      const uint64_t end =
          std::min(built, first + Pick(i < 4 ? 20 : 20 * abi_.leaf_span()));
      if (i % 2 == 0) {
        list_.ClearFrames(ExtentBetween(Pfn(first), Pfn(end)));
        model_->SetRange(first, end - first, Fill::Missing(), &left);
      } else {
        list_.built->MarkIdentity(kPermit, Pfn(first), Pfn(end));
        model_->SetRangeIdentity(first, end);
      }
    }
    const PageCount needed = list_.PagesToBoot(Pfn(capacity));
    const uint64_t before = source_.taken;
    ASSERT_THAT(list_.Relocate(Pfn(capacity), source_), IsOk());
    ASSERT_TRUE(model_->Relocate(capacity, &left));
    const uint64_t builder = abi_.arch == Arch::kX86_64
                                 ? built / abi_.leaf_span()
                                 : 0;  // given back while relocating
    ASSERT_THAT(list_->Publish(source_), IsOk());
    ASSERT_TRUE(model_->BuildTree(&left));
    EXPECT_EQ(source_.left, left);
    EXPECT_EQ(source_.taken - before + builder, needed.value());
    EXPECT_EQ(list_->generation(), 0);
    CheckStructure();
    CheckWords();
  }

  P2mWord PickWord(uint64_t pfn) {
    switch (Pick(5)) {
      case 0:
        return P2mWord::Invalid();
      case 1:
        return P2mWord::Identity(Pfn(pfn));
      case 2:
        return P2mWord::Identity(Pfn(pfn / 2));
      case 3:
        return P2mWord::Foreign(Mfn(Pick(1000)));
      default:
        return P2mWord::Ram(Mfn(Pick(1 << 20)));
    }
  }
  uint64_t PickPfn() {
    uint64_t pfn = Pick(model_->size());
    if (Pick(3) == 0) pfn -= pfn % abi_.leaf_span();
    if (Pick(8) == 0) pfn -= pfn % abi_.mid_span();
    return pfn;
  }

  void SetOne(uint64_t left) {
    const uint64_t pfn = PickPfn();
    const P2mWord word = PickWord(pfn);
    const absl::Status status = list_->Set(kPermit, Pfn(pfn), word, source_);
    const bool done = model_->Set(pfn, word, &left);
    ExpectDone(status, done, left);
    EXPECT_EQ(list_->Lookup(Pfn(pfn)).ToString(),
              model_->Lookup(pfn).ToString());
  }
  void TrySetOne() {
    const uint64_t pfn = PickPfn();
    const P2mWord word = PickWord(pfn);
    const uint64_t taken = source_.taken;
    EXPECT_EQ(list_->TrySet(kPermit, Pfn(pfn), word),
              model_->TrySet(pfn, word));
    EXPECT_EQ(source_.taken, taken);
  }
  void AllocOne(uint64_t left) {
    const uint64_t pfn = PickPfn();
    const absl::Status status = list_->AllocEntry(Pfn(pfn), source_);
    const bool done = model_->AllocEntry(pfn, &left);
    ExpectDone(status, done, left);
  }
  void SetMany(uint64_t left, uint64_t taken) {
    const uint64_t first = PickPfn();
    uint64_t count = 1 + Pick(Pick(2) == 0 ? 30 : 6 * abi_.leaf_span());
    if (Pick(12) == 0) count = abi_.mid_span();
    count = std::min(count, model_->size() - first);
    const uint64_t mfn = Pick(1 << 24);
    const Fill fills[] = {Fill::Missing(), Fill::Identity(),
                          Fill::Ram(Mfn(mfn))};
    const Fill fill = fills[Pick(3)];
    const PfnExtent pfns = {Pfn(first), PageCount(count)};
    const uint64_t needed = list_->PagesToSet(pfns, fill).value();
    const bool enough = needed <= left;
    PageCount done;
    const absl::Status status =
        list_->SetRange(kPermit, pfns, fill, source_, &done);

    const uint64_t set = model_->SetRange(first, count, fill, &left);
    ExpectDone(status, set == count, left);
    EXPECT_EQ(status.ok(), enough) << needed << " pages announced";
    if (status.ok()) {
      EXPECT_EQ(source_.taken - taken, needed);
    }
    EXPECT_EQ(done.value(), set);
    for (const uint64_t pfn : {first, first + set / 2, first + set,
                               first + count - 1, first + count}) {
      EXPECT_EQ(list_->Lookup(Pfn(pfn)).ToString(),
                model_->Lookup(pfn).ToString())
          << pfn;
    }
  }

  void ExpectDone(const absl::Status& status, bool done, uint64_t left) {
    if (done) {
      EXPECT_THAT(status, IsOk());
    } else {
      EXPECT_THAT(status, IsError(absl::StatusCode::kResourceExhausted,
                                  Reason::kGuestMemoryExhausted,
                                  testing::HasSubstr("no free page")));
    }
    EXPECT_EQ(source_.left, left);
  }

  void CheckStructure() {
    EXPECT_THAT(list_->CheckInvariants(), IsOk());
    EXPECT_EQ(list_->generation(), model_->generation());
    EXPECT_EQ(list_->last_pfn().value(), model_->last_pfn());
    EXPECT_EQ(list_->structure().size().value(), source_.taken);
    EXPECT_EQ(list_->structure().size().value(), model_->Pages());
    for (uint64_t leaf = 0; leaf < model_->size() / abi_.leaf_span(); ++leaf) {
      ASSERT_EQ(list_->shape().LeafBacking(leaf), model_->LeafBacking(leaf))
          << "leaf " << leaf;
    }
    const P2mSummary expected = model_->Summary();
    const P2mSummary sum = list_->Summary();
    EXPECT_EQ(sum.ram, expected.ram);
    EXPECT_EQ(sum.identity, expected.identity);
    EXPECT_EQ(sum.foreign, expected.foreign);
    EXPECT_EQ(sum.missing, expected.missing);
    EXPECT_EQ(sum.private_leaves, expected.private_leaves);
    EXPECT_EQ(sum.missing_leaves, expected.missing_leaves);
    EXPECT_EQ(sum.identity_leaves, expected.identity_leaves);
    EXPECT_EQ(sum.private_mids, expected.private_mids);
    EXPECT_EQ(sum.tree_mid_frames, expected.tree_mid_frames);
    EXPECT_EQ(sum.pte_frames, expected.pte_frames);
  }

  const Abi& abi_;
  std::mt19937_64 random_;
  LimitedPages source_;
  TestList list_;
  std::unique_ptr<P2mListModel> model_;
};

void SetAtRandom(const Abi& abi) {
  for (const uint64_t seed : TestSeeds(2)) {
    SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", seed));
    ListUnderTest list(abi, seed);
    for (int step = 0; step < 120; ++step) {
      SCOPED_TRACE(absl::StrCat("step ", step));
      if (testing::Test::HasFailure()) return;
      list.Step();
      if (step % 40 == 39) list.CheckWords();
    }
  }
}

TEST(P2mSetRandomTest, SetsWithPagesRunningOutOnX86_64) {
  SetAtRandom(kAbiX86_64);
}

TEST(P2mSetRandomTest, SetsWithPagesRunningOutOnPae) {
  SetAtRandom(kAbiX86_32Pae);
}

}  // namespace
}  // namespace simvisor
