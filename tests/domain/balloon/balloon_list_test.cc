#include "domain/balloon/balloon_list.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "domain/collections/state_codec.h"
#include "domain/units/abi.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/extents.h"
#include "tests/support/random_seed.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

TEST(BalloonListTest, LastInComesBackFirstHighestFirst) {
  BalloonList list;
  list.Push(Pfns(100, 110));
  list.Push(Pfns(50, 55));
  EXPECT_EQ(list.Pop(PageCount(2)), Pfns(53, 55));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(50, 53));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(101, 110));
  EXPECT_EQ(list.size().value(), 1);
}

TEST(BalloonListTest, AscendingPfnsJoin) {
  BalloonList list;
  list.Push(Pfns(100, 110));
  list.Push(Pfns(110, 115));
  EXPECT_EQ(list.low_runs().size(), 1);
  EXPECT_EQ(list.Pop(PageCount(10)), Pfns(105, 115));
}

TEST(BalloonListTest, EmptyListGivesNoPages) {
  BalloonList list;
  EXPECT_TRUE(list.Pop(PageCount(5)).empty());
  list.Push(Pfns(7, 7));
  EXPECT_EQ(list.size().value(), 0);
  list.Push(Pfns(7, 8));
  EXPECT_TRUE(list.Pop(PageCount(0)).empty());
  EXPECT_EQ(list.size().value(), 1);
}

TEST(BalloonListTest, LowMemoryComesFirstThenHighMemoryAsItWentIn) {
  BalloonList list(Pfn(100));
  list.Push(Pfns(95, 110));
  list.Push(Pfns(120, 125));
  list.Push(Pfns(10, 12));
  EXPECT_THAT(
      list.Next(PageCount(8)),
      testing::ElementsAre(Pfns(10, 12), Pfns(95, 100), Pfns(100, 101)));
  EXPECT_EQ(list.Next(PageCount(99)).size(), 4);
  EXPECT_EQ(list.low_count().value(), 7);
  EXPECT_EQ(list.high_count().value(), 15);
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(10, 12));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(95, 100));
  EXPECT_EQ(list.Pop(PageCount(4)), Pfns(100, 104));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(104, 110));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(120, 125));
  EXPECT_EQ(list.size().value(), 0);
}

TEST(BalloonListTest, PagesPutBackComeNext) {
  BalloonList list(Pfn(100));
  list.Push(Pfns(90, 110));
  list.Push(Pfns(150, 160));
  EXPECT_EQ(list.Pop(PageCount(4)), Pfns(96, 100));
  list.PutBack(Pfns(98, 100));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(98, 100));
  list.Pop(PageCount(99));
  EXPECT_EQ(list.Pop(PageCount(4)), Pfns(100, 104));
  list.PutBack(Pfns(102, 104));
  EXPECT_EQ(list.Pop(PageCount(3)), Pfns(102, 105));
  EXPECT_EQ(list.Pop(PageCount(99)), Pfns(105, 110));
  list.PutBack(Pfns(105, 110));
  list.PutBack({});
  EXPECT_EQ(list.high_runs().size(), 2);
  EXPECT_EQ(list.high_count().value(), 15);
}

TEST(BalloonListTest, ManyLeaveAtOnceAndTheListSaysWhich) {
  BalloonList list;
  list.Push(Pfns(100, 110));
  list.Push(Pfns(50, 55));
  list.Push(Pfns(200, 201));
  PfnSet wanted;
  wanted.Add(Pfns(40, 52));
  wanted.Add(Pfns(54, 102));
  wanted.Add(Pfns(105, 106));
  wanted.Add(Pfns(109, 150));
  const PfnSet removed = list.Remove(wanted);
  EXPECT_EQ(removed.size().value(), 7u);
  EXPECT_EQ(list.size().value(), 9u);
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(200, 201));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(52, 54));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(106, 109));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(102, 105));
}

// A list of single pages, kept as the kernel keeps its own.
class PageList {
 public:
  explicit PageList(uint64_t high_start) : high_start_(high_start) {}

  void Remove(PfnExtent pfns) {
    std::erase_if(pages_, [&](uint64_t n) {
      return n >= pfns.first.value() && n < pfns.end().value();
    });
  }
  void Push(PfnExtent pfns) {
    for (uint64_t n = pfns.first.value(); n < pfns.end().value(); ++n) Add(n);
  }
  // Puts each batch in, starting with the page that the allocator gave last.
  void PushTaken(const std::vector<PfnExtent>& taken, uint64_t batch) {
    std::vector<uint64_t> pages;
    const auto end_batch = [&] {
      for (; !pages.empty(); pages.pop_back()) Add(pages.back());
    };
    for (const PfnExtent& pfns : taken) {
      for (uint64_t n = pfns.end().value(); n > pfns.first.value(); --n) {
        pages.push_back(n - 1);
        if (pages.size() == batch) end_batch();
      }
    }
    end_batch();
  }
  uint64_t Pop() {
    const uint64_t head = pages_.front();
    pages_.pop_front();
    return head;
  }
  size_t size() const { return pages_.size(); }
  size_t high_count() const {
    return std::count_if(pages_.begin(), pages_.end(),
                         [this](uint64_t n) { return n >= high_start_; });
  }
  const std::deque<uint64_t>& pages() const { return pages_; }

 private:
  void Add(uint64_t n) {
    pages_.insert(n < high_start_ ? pages_.begin() : pages_.end(), n);
  }

  const uint64_t high_start_;
  std::deque<uint64_t> pages_;  // the head is first
};

std::deque<uint64_t> OneByOne(BalloonList list) {
  std::deque<uint64_t> pages;
  while (list.size() > PageCount(0)) {
    pages.push_back(list.Pop(PageCount(1)).first.value());
  }
  return pages;
}

bool HoldsNone(PfnExtent) { return true; }

// What is left of `list` after its notes have been written and read.
BalloonList Restored(const BalloonList& list, Pfn high_start, PageCount batch) {
  StateWriter out;
  list.Encode(out);
  StateReader in(out.bytes());
  BalloonList restored(high_start);
  restored.Decode(in, Pfn(1 << 20), batch, HoldsNone);
  EXPECT_TRUE(in.done()) << in.status();
  return restored;
}

// Random calls on a list whose batches have `batch` pages, and on the model.
class Calls {
 public:
  Calls(uint64_t seed, uint64_t batch)
      : random_(seed),
        batch_(batch),
        pfns_(12 * batch),
        high_start_(3 * batch + random_() % pfns_),
        list_{Pfn(high_start_)},
        model_(high_start_) {}

  void Step() {
    switch (Pick(6)) {
      case 0:
        return RemoveMany();
      case 1:
        return Forget(SomePfns());
      case 2:
        return PushSome();
      case 3:
        return PushTaken();
      default:
        return PopSome();
    }
  }
  void ExpectSame() const {
    EXPECT_EQ(list_.size().value(), model_.size());
    EXPECT_EQ(list_.high_count().value(), model_.high_count());
  }
  // The order of all pages, before and after it has been saved.
  void ExpectSameOrder() {
    EXPECT_EQ(OneByOne(list_), model_.pages());
    list_ = Restored(list_, Pfn(high_start_), PageCount(batch_));
    EXPECT_EQ(OneByOne(list_), model_.pages());
    for (const auto& run : list_.low_runs()) striped_ += run.striped() ? 1 : 0;
  }
  int striped() const { return striped_; }

 private:
  uint64_t Pick(uint64_t end) { return random_() % end; }

  PfnExtent SomePfns() {
    return {Pfn(Pick(pfns_)), PageCount(Pick(1 + batch_ / 4))};
  }
  void Forget(PfnExtent pfns) {
    list_.Remove(pfns);
    model_.Remove(pfns);
  }
  void RemoveMany() {
    PfnSet wanted;
    const PfnExtent first = SomePfns();
    const PfnExtent second = {first.end() + PageCount(3), PageCount(6)};
    const uint64_t before = model_.size();
    for (const PfnExtent& pfns : {first, second}) {
      wanted.Add(pfns);
      model_.Remove(pfns);
    }
    EXPECT_EQ(list_.Remove(wanted).size().value(), before - model_.size());
  }
  void PushSome() {
    const PfnExtent pfns = SomePfns();
    Forget(pfns);
    list_.Push(pfns);
    model_.Push(pfns);
  }
  // Extents as an allocator gives them that works downwards from high pfns.
  void PushTaken() {
    std::vector<PfnExtent> taken;
    uint64_t end = Pick(pfns_) + 1;
    for (uint64_t n = Pick(4); n > 0 && end > 0; --n) {
      const uint64_t count = std::min(end, 1 + Pick(3 * batch_));
      taken.push_back({Pfn(end - count), PageCount(count)});
      Forget(taken.back());
      end -= count;
      end -= std::min(end, Pick(5));
    }
    list_.PushTaken(taken, PageCount(batch_));
    model_.PushTaken(taken, batch_);
  }
  // Low pfns come from the upper end, or batch by batch from the lowest.
  void PopSome() {
    const uint64_t most = 1 + Pick(Pick(2) == 0 ? 9 : 3 * batch_);
    const PfnExtent taken = list_.Pop(PageCount(most));
    const uint64_t count = taken.count.value();
    ASSERT_EQ(count == 0, model_.size() == 0);
    ASSERT_LE(count, most);
    const uint64_t first = taken.first.value();
    const bool low = first < high_start_;
    uint64_t stripe = count;
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t page = model_.Pop();
      if (i == 0 && low && page != first + count - 1) stripe = batch_;
      ASSERT_EQ(page, low ? first + i - i % stripe + stripe - 1 - i % stripe
                          : first + i);
    }
  }

  std::mt19937_64 random_;
  const uint64_t batch_;
  const uint64_t pfns_;
  const uint64_t high_start_;
  BalloonList list_;
  PageList model_;
  int striped_ = 0;
};

class BalloonListCallsTest : public testing::TestWithParam<uint64_t> {};

TEST_P(BalloonListCallsTest, RandomCallsAgreeWithAListOfPages) {
  for (const uint64_t seed : TestSeeds(4)) {
    SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", seed));
    Calls calls(seed, GetParam());
    for (int step = 0; step < 1000 && !HasFailure(); ++step) {
      SCOPED_TRACE(absl::StrCat("step ", step));
      calls.Step();
      calls.ExpectSame();
      if (step % 20 == 0) calls.ExpectSameOrder();
    }
    EXPECT_GT(calls.striped(), 0);
  }
}

// Both architectures' batch sizes, and one that mixes with everything else.
INSTANTIATE_TEST_SUITE_P(Batches, BalloonListCallsTest,
                         testing::Values(kAbiX86_64.balloon_batch(),
                                         kAbiX86_32Pae.balloon_batch(),
                                         uint64_t{7}));

TEST(BalloonListTest, StripesComeBackFromNotesAsTheyWere) {
  BalloonList list;
  list.PushTaken({Pfns(1000, 1000 + 2 * 512)}, PageCount(512));
  list.Push(Pfns(7, 9));
  ASSERT_TRUE(list.low_runs().front().striped());
  BalloonList restored = Restored(list, Pfn::None(), PageCount(512));
  EXPECT_EQ(OneByOne(restored), OneByOne(list));
  EXPECT_EQ(restored.low_runs().front().pfns, Pfns(1000, 2024));
  EXPECT_EQ(restored.low_runs().front().stripe, PageCount(512));
  EXPECT_EQ(restored.size(), list.size());
  EXPECT_EQ(restored.Pop(PageCount(2)), Pfns(7, 9));
  EXPECT_EQ(restored.Pop(PageCount(2)), Pfns(1510, 1512));
}

TEST(BalloonListTest, NotesOfIncompleteBatchesAreRefused) {
  for (const uint64_t pages : {700, 1023, 1025}) {
    StateWriter out;
    out.Put(1);  // run of low memory, of stripes
    out.Put(Pfns(4096, 4096 + pages));
    out.Put(1);
    out.Put(0);  // runs of high memory
    StateReader in(out.bytes());
    BalloonList list;
    list.Decode(in, Pfn(1 << 20), PageCount(512), HoldsNone);
    EXPECT_THAT(
        in.status(),
        IsError(absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
                testing::HasSubstr(
                    absl::StrCat("1, of ", pages, " pfns; batches have 512"))));
    EXPECT_EQ(list.size().value(), 0u);
  }
}

}  // namespace
}  // namespace simvisor
