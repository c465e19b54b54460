// Random calls to a FramePool, compared with a map of all frames.

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "domain/frames/frame_pool.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/frames/populate.h"
#include "tests/domain/frames/test_frames.h"
#include "tests/support/extents.h"
#include "tests/support/random_seed.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

// A map of all frames of the pool, updated as the pool's calls should.
class PoolModel {
 public:
  struct Frame {
    FrameState state = FrameState::kFree;
    DomainId owner;
    Pfn pfn = Pfn::None();
  };

  PoolModel(const std::vector<MfnExtent>& ram, uint64_t reserved_below) {
    for (const MfnExtent& extent : ram) {
      for (Mfn mfn = extent.first; mfn < extent.end(); mfn += PageCount(1)) {
        Frame& frame = frames_[mfn.value()];
        if (mfn.value() < reserved_below) frame.state = FrameState::kReserved;
      }
    }
  }

  uint64_t Count(FrameState state) const {
    return std::count_if(
        frames_.begin(), frames_.end(),
        [state](const auto& frame) { return frame.second.state == state; });
  }

  uint64_t CountFreeBelow(uint64_t end) const {
    return std::count_if(frames_.begin(), frames_.lower_bound(end),
                         [](const auto& frame) {
                           return frame.second.state == FrameState::kFree;
                         });
  }

  uint64_t LowestFreeFrom(uint64_t first) const {
    return std::find_if(frames_.lower_bound(first), frames_.end(),
                        [](const auto& frame) {
                          return frame.second.state == FrameState::kFree;
                        })
        ->first;
  }

  std::vector<uint64_t> OwnedBy(DomainId owner) const {
    std::vector<uint64_t> mfns;
    for (const auto& [mfn, frame] : frames_) {
      if (frame.state == FrameState::kOwned && frame.owner == owner) {
        mfns.push_back(mfn);
      }
    }
    return mfns;
  }

  Frame& at(uint64_t mfn) { return frames_.at(mfn); }

  void ExpectSame(const FramePool& pool) const {
    auto expected = frames_.begin();
    std::vector<FrameRun> runs;
    pool.ListRuns({Mfn(0), pool.max_mfn() - Mfn(0)}, SIZE_MAX, runs);
    for (const FrameRun& run : runs) {
      if (run.state == FrameState::kNotRam) continue;
      for (uint64_t i = 0; i < run.frames.count.value(); ++i, ++expected) {
        ASSERT_NE(expected, frames_.end());
        const auto& [mfn, frame] = *expected;
        ASSERT_EQ(run.frames.first.value() + i, mfn);
        ASSERT_EQ(run.state, frame.state) << "mfn " << mfn;
        ASSERT_EQ(run.owner, frame.owner) << "mfn " << mfn;
        ASSERT_EQ(run.first_pfn.is_none() ? run.first_pfn
                                          : run.first_pfn + PageCount(i),
                  frame.pfn)
            << "mfn " << mfn;
      }
    }
    ASSERT_EQ(expected, frames_.end());
  }

 private:
  std::map<uint64_t, Frame> frames_;
};

class FramePoolRandomTest : public testing::TestWithParam<Placement> {
 protected:
  // Little RAM, but across the ends of leaves and blocks.
  static std::vector<MfnExtent> Ram() {
    return {Frames(0, 0x9f), Frames(0x100, 0x500),
            Frames(kBlock - 0x240, kBlock + 0x333),
            Frames(2 * kBlock - 5, 2 * kBlock + 0x200)};
  }

  void Run(uint64_t seed, int steps) {
    SCOPED_TRACE(testing::Message() << "SIMVISOR_SEED=" << seed);
    random_.seed(seed);
    claims_.clear();
    // Low memory is a few leaves, a block and a bit, or everything.
    const uint64_t low_ends[] = {0x300, kBlock + 0x120, 1 << 30};
    const Mfn low_end(low_ends[random_() % 3]);
    auto pool = FramePool::Create(Ram(), Mfn(0x10), GetParam(), seed, low_end);
    ASSERT_THAT(pool, IsOk());
    pool_ = *std::move(pool);
    ASSERT_EQ(pool_->low_end(), std::min(low_end, pool_->max_mfn()));
    low_end_ = low_end.value();
    model_ = std::make_unique<PoolModel>(Ram(), 0x10);
    for (int step = 0; step < steps; ++step) {
      SCOPED_TRACE(testing::Message() << "step " << step);
      Step();
      if (HasFatalFailure()) return;
      Check();
      if (HasFatalFailure()) return;
    }
    claims_.clear();
  }

  void Step() {
    const DomainId owner(static_cast<uint16_t>(random_() % 4));
    switch (random_() % 7) {
      case 0:
        MakeClaim();
        break;
      case 1:
        if (!claims_.empty()) claims_.erase(claims_.begin());
        break;
      case 2:
      case 3:
      case 4:
        PopulateSome(owner);
        break;
      case 5:
        FreeSome(owner);
        break;
      case 6:
        SetSomePfns(owner);
        break;
    }
  }

  void MakeClaim() {
    const PageCount pages(random_() % 1500);
    const FrameReach reach =
        random_() % 2 == 0 ? FrameReach::kLow : FrameReach::kAll;
    uint64_t unclaimed = model_->Count(FrameState::kFree) - Claimed().value();
    if (reach == FrameReach::kLow) {
      unclaimed = std::min(unclaimed, SpareLow());
    }
    auto claim = pool_->Claim(pages, reach);
    ASSERT_EQ(claim.ok(), pages.value() <= unclaimed);
    if (!claim.ok()) {
      claim = pool_->ClaimUpTo(pages, reach);
      ASSERT_EQ(claim->remaining(), PageCount(unclaimed));
    }
    claims_.push_back({*std::move(claim), reach});
  }

  // Free low frames that are not claimed.
  uint64_t SpareLow() const {
    return model_->CountFreeBelow(low_end_) - ClaimedLow().value();
  }

  // The frame that kLowest gives for a claim.
  uint64_t NextLowest(FrameReach reach, uint64_t claimed_low) const {
    const bool keep_low = reach == FrameReach::kAll && claimed_low > 0 &&
                          model_->CountFreeBelow(low_end_) == claimed_low;
    return model_->LowestFreeFrom(keep_low ? low_end_ : 0);
  }

  void PopulateSome(DomainId owner) {
    if (claims_.empty()) return;
    auto& [claim, reach] = claims_[random_() % claims_.size()];
    const uint64_t claimed_low = ClaimedLow().value();
    const uint64_t count = random_() % (claim.remaining().value() + 1);
    const Pfn first(random_() % 100000);
    Pfn next = first;
    Mfn last_end = Mfn::None();
    for (const auto& [pfn, frames] :
         Populate(claim, owner, {first, PageCount(count)})) {
      ASSERT_EQ(pfn, next);
      ASSERT_FALSE(frames.empty());
      if (GetParam() == Placement::kScatter) {
        ASSERT_EQ(frames.count, PageCount(1));
      } else {
        ASSERT_NE(frames.first, last_end) << "two extents where one would do";
      }
      for (Mfn mfn = frames.first; mfn < frames.end(); mfn += PageCount(1)) {
        ASSERT_EQ(model_->at(mfn.value()).state, FrameState::kFree);
        if (GetParam() == Placement::kLowest) {
          ASSERT_EQ(mfn.value(), NextLowest(reach, claimed_low));
        }
        if (reach == FrameReach::kLow) {
          ASSERT_LT(mfn.value(), low_end_);
        }
        model_->at(mfn.value()) = {FrameState::kOwned, owner, next};
        next += PageCount(1);
      }
      last_end = frames.end();
    }
    ASSERT_EQ(next, first + PageCount(count));
  }

  PopulatedExtents Populate(FrameClaim& claim, DomainId owner, PfnExtent pfns) {
    return PopulateAll(*pool_, claim, owner, pfns);
  }

  // A few extents of frames that `owner` has.
  std::vector<MfnExtent> Choose(DomainId owner) {
    const std::vector<uint64_t> mfns = model_->OwnedBy(owner);
    std::vector<MfnExtent> extents;
    for (size_t i = random_() % 50; i < mfns.size(); i += random_() % 100) {
      const uint64_t most = 1 + random_() % 60;
      uint64_t count = 1;
      while (count < most && i + count < mfns.size() &&
             mfns[i + count] == mfns[i] + count) {
        ++count;
      }
      extents.push_back({Mfn(mfns[i]), PageCount(count)});
      i += count;
    }
    return extents;
  }

  void FreeSome(DomainId owner) {
    const std::vector<MfnExtent> extents = Choose(owner);
    pool_->Free(extents);
    for (const MfnExtent& extent : extents) {
      for (uint64_t i = 0; i < extent.count.value(); ++i) {
        model_->at(extent.first.value() + i) = {};
      }
    }
  }

  void SetSomePfns(DomainId owner) {
    for (const MfnExtent& extent : Choose(owner)) {
      const Pfn pfn = random_() % 4 == 0 ? Pfn::None() : Pfn(random_() % 1000);
      pool_->SetPfns(extent, pfn);
      for (uint64_t i = 0; i < extent.count.value(); ++i) {
        model_->at(extent.first.value() + i).pfn =
            pfn.is_none() ? pfn : pfn + PageCount(i);
      }
    }
  }

  PageCount Claimed() const {
    PageCount claimed;
    for (const auto& [claim, reach] : claims_) claimed += claim.remaining();
    return claimed;
  }
  PageCount ClaimedLow() const {
    PageCount claimed;
    for (const auto& [claim, reach] : claims_) {
      if (reach == FrameReach::kLow) claimed += claim.remaining();
    }
    return claimed;
  }

  void Check() {
    ASSERT_THAT(pool_->CheckInvariants(), IsOk());
    model_->ExpectSame(*pool_);
    const FramePool::Counts counts = pool_->counts();
    ASSERT_EQ(counts.free.value(), model_->Count(FrameState::kFree));
    ASSERT_EQ(counts.owned.value(), model_->Count(FrameState::kOwned));
    ASSERT_EQ(counts.free + counts.owned + counts.reserved, counts.total);
    ASSERT_EQ(counts.claimed, Claimed());
  }

  std::mt19937_64 random_;
  std::unique_ptr<FramePool> pool_;
  std::unique_ptr<PoolModel> model_;
  uint64_t low_end_ = 0;
  // Destroyed before pool_.
  std::vector<std::pair<FrameClaim, FrameReach>> claims_;
};

TEST_P(FramePoolRandomTest, CallsMatchAModelOfFrames) {
  for (uint64_t seed : TestSeeds(8)) {
    Run(seed, 300);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Placements, FramePoolRandomTest,
                         testing::Values(Placement::kLowest,
                                         Placement::kScatter),
                         [](const auto& tested) {
                           return tested.param == Placement::kLowest
                                      ? "Lowest"
                                      : "Scatter";
                         });

}  // namespace
}  // namespace simvisor
