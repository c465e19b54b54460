#include "domain/p2m/p2m_words.h"

#include <algorithm>
#include <memory>
#include <random>
#include <type_traits>
#include <utility>
#include <vector>

#include "domain/p2m/change_permit.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/change_permit.h"
#include "tests/support/random_seed.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using ::testing::ElementsAre;

constexpr const Abi& kAbi = kAbiX86_64;
constexpr uint64_t kMid = kAbi.mid_span();

std::unique_ptr<P2mWords> MakeWords(uint64_t capacity) {
  auto words = P2mWords::Create(kAbi, Pfn(capacity));
  EXPECT_THAT(words, IsOk());
  return *std::move(words);
}

PfnExtent PfnsFrom(uint64_t first, uint64_t count) {
  return {Pfn(first), PageCount(count)};
}

// Only its friends make a permit, and none can be copied and kept.
static_assert(!std::is_default_constructible_v<ChangePermit>);
static_assert(!std::is_copy_constructible_v<ChangePermit>);
static_assert(!std::is_aggregate_v<ChangePermit>);

TEST(P2mWordsTest, FreshWordsAreIdentityEverywhere) {
  const auto words = MakeWords(kMid);
  EXPECT_EQ(words->size(), Pfn(0));
  EXPECT_EQ(words->capacity(), Pfn(kMid));
  for (const uint64_t pfn : {uint64_t{0}, kMid - 1, kMid, uint64_t{1} << 40}) {
    EXPECT_EQ(words->Lookup(Pfn(pfn)), P2mWord::Identity(Pfn(pfn)));
  }
}

TEST(P2mWordsTest, NewWordsAreInvalidUpToTheIdentityAtTheEnd) {
  const auto words = MakeWords(4 * kMid);
  words->Resize(Pfn(512));
  EXPECT_EQ(words->RunAt(Pfn(0), Pfn(512), RunMerge::kByFrame),
            (P2mRun{PfnsFrom(0, 512), P2mWord::Invalid()}));
  words->StoreFrames(kPermit, Pfn(0), {{Mfn(0x100), PageCount(512)}});
  words->Resize(Pfn(4 * kMid), Pfn(kMid));
  EXPECT_EQ(words->size(), Pfn(4 * kMid));
  EXPECT_EQ(words->RunAt(Pfn(0), words->size(), RunMerge::kByFrame),
            (P2mRun{PfnsFrom(0, 512), P2mWord::Ram(Mfn(0x100))}));
  EXPECT_EQ(words->RunAt(Pfn(512), words->size(), RunMerge::kByFrame),
            (P2mRun{PfnsFrom(512, kMid - 512), P2mWord::Invalid()}));
  EXPECT_EQ(words->RunAt(Pfn(kMid), words->size(), RunMerge::kByFrame),
            (P2mRun{PfnsFrom(kMid, 3 * kMid), P2mWord::Identity(Pfn(kMid))}));
}

TEST(P2mWordsTest, AShorterEndMakesTheRestIdentity) {
  const auto words = MakeWords(2 * kMid);
  words->Resize(Pfn(2 * kMid));
  words->StoreFrames(kPermit, Pfn(0), {{Mfn(0), PageCount(2 * kMid)}});
  words->Resize(Pfn(kMid));
  EXPECT_EQ(words->Lookup(Pfn(kMid - 1)), P2mWord::Ram(Mfn(kMid - 1)));
  EXPECT_EQ(words->Lookup(Pfn(kMid)), P2mWord::Identity(Pfn(kMid)));
}

TEST(P2mWordsTest, AWordSetInTheIdentityLeavesThoseAroundIt) {
  const auto words = MakeWords(4 * kMid);
  words->Resize(Pfn(4 * kMid), Pfn(0));
  const Pfn odd(2 * kMid + 5);
  words->Store(kPermit, odd, P2mWord::Foreign(Mfn(7)));
  EXPECT_EQ(words->Lookup(odd), P2mWord::Foreign(Mfn(7)));
  EXPECT_EQ(words->RunAt(Pfn(0), words->size(), RunMerge::kByFrame),
            (P2mRun{PfnsFrom(0, odd.value()), P2mWord::Identity(Pfn(0))}));
  const Pfn next = odd + PageCount(1);
  EXPECT_EQ(
      words->RunAt(next, words->size(), RunMerge::kByFrame),
      (P2mRun{ExtentBetween(next, words->size()), P2mWord::Identity(next)}));
}

TEST(P2mWordsTest, FramesAreCollectedInPfnOrderAndJoined) {
  const auto words = MakeWords(kMid);
  words->Resize(Pfn(100));
  words->StoreFrames(kPermit, Pfn(10),
                     {{Mfn(50), PageCount(40)},
                      {Mfn(90), PageCount(2)},
                      {Mfn(3), PageCount(1)}});
  words->Store(kPermit, Pfn(60), P2mWord::Foreign(Mfn(9)));
  std::vector<MfnExtent> frames;
  EXPECT_EQ(words->CollectFrames(PfnsFrom(0, 100), 100, frames), Pfn(100));
  EXPECT_THAT(frames, ElementsAre(MfnExtent{Mfn(50), PageCount(42)},
                                  MfnExtent{Mfn(3), PageCount(1)}));
  frames.clear();
  EXPECT_LT(words->CollectFrames(PfnsFrom(0, 100), 2, frames), Pfn(100));
  EXPECT_THAT(frames, ElementsAre(MfnExtent{Mfn(50), PageCount(42)}));
}

TEST(P2mWordsTest, GenerationIsOddDuringAReplacement) {
  const auto words = MakeWords(kMid);
  EXPECT_EQ(words->generation(), 0);
  words->BeginReplacement();
  EXPECT_EQ(words->generation(), 1);
  words->EndReplacement(3);
  EXPECT_EQ(words->generation(), 6);
  words->RestartGeneration();
  EXPECT_EQ(words->generation(), 0);
}

P2mWord Filled(const RangeFill& fill, Pfn first, PageCount i) {
  switch (fill.p2m_class) {
    case P2mClass::kRam:
      return P2mWord::Ram(fill.first_mfn + i);
    case P2mClass::kIdentity:
      return P2mWord::Identity(first + i);
    default:
      return P2mWord::Invalid();
  }
}

// Compares lookups, of single words and of runs, with a plain array.
void ExpectReads(const P2mWords& words, const std::vector<P2mWord>& plain) {
  const P2mWords::Reader reader(words);
  for (uint64_t i = 0; i < plain.size(); ++i) {
    ASSERT_EQ(words.Lookup(Pfn(i)), plain[i]) << i;
    ASSERT_EQ(reader.Lookup(Pfn(i)), plain[i]) << i;
  }
  for (uint64_t at = 0; at < plain.size();) {
    uint64_t end = at;
    while (end < plain.size() && plain[end].Class() == plain[at].Class()) ++end;
    ASSERT_EQ(words.RunAt(Pfn(at), words.size(), RunMerge::kByClass),
              (P2mRun{PfnsFrom(at, end - at), plain[at]}));
    at = end;
  }
}

TEST(P2mWordsTest, RandomChangesReadAsAPlainArrayDoes) {
  for (const uint64_t seed : TestSeeds(3)) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto pick = [&](uint64_t below) { return random() % below; };
    const uint64_t size = 3 * kMid;
    const auto words = MakeWords(size);
    words->Resize(Pfn(size), Pfn(kMid));
    std::vector<P2mWord> plain(size);
    for (uint64_t i = kMid; i < size; ++i) plain[i] = P2mWord::Identity(Pfn(i));
    for (int step = 0; step < 300; ++step) {
      const uint64_t first = pick(size);
      const uint64_t most = pick(2) == 0 ? size : 40;
      const uint64_t count = 1 + pick(std::min(size - first, most));
      const RangeFill fills[] = {RangeFill::Missing(), RangeFill::Identity(),
                                 RangeFill::Ram(Mfn(pick(1 << 20)))};
      const RangeFill& fill = fills[pick(3)];
      words->Fill(kPermit, PfnsFrom(first, count), fill);
      for (uint64_t i = 0; i < count; ++i) {
        plain[first + i] = Filled(fill, Pfn(first), PageCount(i));
      }
    }
    ExpectReads(*words, plain);
  }
}

}  // namespace
}  // namespace simvisor
