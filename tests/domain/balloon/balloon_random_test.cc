// Whole guests' balloon drivers against a plain model of them: targets, timers,
// frames of the host, pauses and lent pages, in random order.
//
// SIMVISOR_BALLOON_SEQUENCES says how many sequences of each architecture, 100
// if it is not set; SIMVISOR_SEED=n repeats that one.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "domain/units/abi.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/balloon/balloon_model.h"
#include "tests/support/balloon_guest.h"
#include "tests/support/random_seed.h"

namespace simvisor {
namespace {

constexpr int kSteps = 40;

// How many sequences `given`, the text of the variable, asks for; 0 if it is
// not a number of sequences.
uint64_t Sequences(const char* given) {
  if (given == nullptr) return 100;
  uint64_t sequences = 0;
  return absl::SimpleAtoi(given, &sequences) ? sequences : 0;
}

class Sequence {
 public:
  Sequence(Arch arch, uint64_t seed) : random_(seed), abi_(AbiOf(arch)) {
    memory_ = 700 + Pick(5300);
    // Makes low memory end within the guest or its room.
    if (abi_.arch == Arch::kX86_32Pae && Pick(8) == 0) {
      memory_ = abi_.low_memory_pages + 1500 - Pick(3000);
    }
    if (Pick(4) > 0) room_ = Pick(2500);
    // Any number of retries, so that sleeps get as long as possible.
    max_retry_ = static_cast<uint32_t>(Pick(8));
    guest_ = Make();
    keep_ = guest_->keeps() + Pick(60);
    if (memory_ > 10000) keep_ = memory_ - 4000;
    EXPECT_THAT(guest_->Keep(keep_), IsOk());
    model_ = std::make_unique<BalloonModel>(ModelSetup());
    SetHostFree();
  }

  void Run() {
    for (int step = 0; step < kSteps && !testing::Test::HasFailure(); ++step) {
      Step();
      EXPECT_EQ(guest_->Figures(), model_->Figures());
      EXPECT_EQ(guest_->Missing(), model_->Missing());
    }
    EXPECT_THAT(guest_->Audit(), testing::IsEmpty());
    if (testing::Test::HasFailure()) Describe();
  }

 private:
  uint64_t Pick(uint64_t end) { return random_() % end; }

  std::unique_ptr<BalloonGuest> Make() const {
    return std::make_unique<BalloonGuest>(abi_.arch, memory_, room_, max_retry_,
                                          /*more=*/0);
  }

  // Which pages the guest can give is the only thing that the model takes from
  // the code under test: a twin gives them all.
  BalloonModel::Setup ModelSetup() const {
    BalloonModel::Setup setup = {
        .batch = abi_.arch == Arch::kX86_64 ? uint64_t{512} : uint64_t{1024},
        .low_end =
            abi_.arch == Arch::kX86_64 ? ~uint64_t{0} : uint64_t{0x377fe},
        .max_retry = max_retry_,
        .memory = memory_};
    for (uint64_t pfn = memory_; pfn < memory_ + room_; ++pfn) {
      setup.room.insert(pfn);
    }
    const auto twin = Make();
    EXPECT_THAT(twin->Keep(keep_), IsOk());
    twin->SetTarget(1);
    for (const uint64_t pfn : twin->Missing()) {
      if (!setup.room.contains(pfn)) setup.free.insert(pfn);
    }
    EXPECT_EQ(setup.free.size(), memory_ - keep_);
    return setup;
  }

  void Step() {
    switch (Pick(10)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return SetTarget();
      case 4:
      case 5:
        Note("timer");
        guest_->RunOutTimer();
        return model_->RunOutTimer();
      case 6:
        return SetHostFree();
      case 7:
        return PauseOrUnpause();
      case 8:
        return Lend();
      default:
        return TakeBack();
    }
  }

  void SetTarget() {
    const uint64_t all = memory_ + room_;
    const uint64_t current = model_->Figures().current;
    switch (Pick(6)) {
      case 0:  // as it was
        break;
      case 4:  // what it has already, whether it sleeps after DONE or not
        target_ = current;
        break;
      case 1:
        target_ = current + Pick(200) - std::min<uint64_t>(current, 100);
        break;
      case 2:  // few enough for the guest to be short of pages
        target_ = Pick(keep_ + 100);
        break;
      case 3:  // so many that the balloon may be short of pfns
        target_ = all - Pick(200) + Pick(400);
        break;
      default:
        target_ = Pick(all);
    }
    target_ = std::max<uint64_t>(target_, 1);
    Note("set_target ", target_);
    guest_->SetTarget(target_);
    model_->SetTarget(target_);
  }

  void SetHostFree() {
    const uint64_t frames = Pick(3) == 0 ? 0 : Pick(Pick(2) == 0 ? 100 : 4000);
    Note("host_free ", frames);
    guest_->SetHostFree(frames);
    model_->SetHostFree(frames);
  }

  void PauseOrUnpause() {
    Note(model_->paused() ? "unpause" : "pause");
    if (model_->paused()) {
      guest_->Unpause();
      model_->Unpause();
    } else {
      guest_->Pause();
      model_->Pause();
    }
  }

  void Lend() {
    const std::vector<uint64_t> pfns =
        model_->Lend(Pick(4) == 0 ? 100000 : Pick(80));
    Note("map_ballooned ", pfns.size());
    guest_->MapBallooned(pfns);
    lent_.insert(lent_.end(), pfns.begin(), pfns.end());
  }

  // Takes back some of them, in any order.
  void TakeBack() {
    std::shuffle(lent_.begin(), lent_.end(), random_);
    const uint64_t count = Pick(2) == 0 ? lent_.size() : Pick(lent_.size() + 1);
    const std::vector<uint64_t> pfns(lent_.end() - count, lent_.end());
    lent_.resize(lent_.size() - count);
    Note("unmap_ballooned ", count);
    guest_->UnmapBallooned(pfns);
    model_->TakeBack(pfns);
  }

  template <typename... Parts>
  void Note(const Parts&... parts) {
    steps_.push_back(absl::StrCat(parts...));
  }
  void Describe() const {
    std::string text =
        absl::StrCat("memory ", memory_, " room ", room_, " keeps ", keep_,
                     " max_retry ", max_retry_);
    for (const std::string& step : steps_) absl::StrAppend(&text, "\n  ", step);
    ADD_FAILURE() << text;
  }

  std::mt19937_64 random_;
  const Abi& abi_;
  uint64_t memory_ = 0;
  uint64_t room_ = 0;
  uint64_t keep_ = 0;
  uint32_t max_retry_ = 0;
  uint64_t target_ = 1;
  std::unique_ptr<BalloonGuest> guest_;
  std::unique_ptr<BalloonModel> model_;
  std::vector<uint64_t> lent_;
  std::vector<std::string> steps_;
};

class BalloonRandomTest : public testing::TestWithParam<Arch> {};

TEST_P(BalloonRandomTest, GuestsFollowTheRules) {
  const uint64_t sequences =
      Sequences(std::getenv("SIMVISOR_BALLOON_SEQUENCES"));
  ASSERT_GT(sequences, 0u) << "SIMVISOR_BALLOON_SEQUENCES is to be a number "
                              "above 0, of digits only";
  const std::vector<uint64_t> seeds = TestSeeds(sequences);
  std::cout << "seeds " << seeds.front() << " to " << seeds.back() << "\n";
  for (const uint64_t seed : seeds) {
    SCOPED_TRACE(testing::Message() << "SIMVISOR_SEED=" << seed);
    Sequence(GetParam(), seed).Run();
    if (HasFailure()) return;
  }
}

TEST(BalloonSequencesTest, InvalidNumberOfSequencesIsRefused) {
  EXPECT_EQ(Sequences(nullptr), 100u);
  EXPECT_EQ(Sequences("2500"), 2500u);
  for (const char* const text : {"0", "2,500", "-1", "", "many"}) {
    EXPECT_EQ(Sequences(text), 0u) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Archs, BalloonRandomTest,
                         testing::Values(Arch::kX86_64, Arch::kX86_32Pae),
                         [](const auto& arch) {
                           return arch.param == Arch::kX86_64 ? "X86_64"
                                                              : "X86_32Pae";
                         });

}  // namespace
}  // namespace simvisor
