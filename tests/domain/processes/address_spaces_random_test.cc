// Address spaces under random calls.

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/processes/address_spaces_testing.h"
#include "tests/support/change_permit.h"
#include "tests/support/random_seed.h"

namespace simvisor {
namespace {

// Random calls; after each, a process must see what the list has.
class AddressSpacesRandomTest : public AddressSpacesTest,
                                public testing::WithParamInterface<PaeKernel> {
 protected:
  uint64_t Pick(uint64_t below) { return random_() % below; }

  void Step() {
    switch (Pick(4)) {
      case 0:
        MakeSome();
        break;
      case 1:
        EndSome();
        break;
      default:
        SetSome();
        break;
    }
  }

  void MakeSome() {
    const uint64_t count = 1 + Pick(150);
    const PageCount needed = spaces_->PagesToCreate(count);
    const PageCount before = free_.count();
    const auto first = spaces_->Create(count, free_, NoStop);
    ASSERT_EQ(first.ok(), needed <= before);
    EXPECT_EQ(before - free_.count(), first.ok() ? needed : PageCount(0));
    for (uint64_t i = 0; first.ok() && i < count; ++i) {
      ids_.push_back(*first + i);
    }
  }

  void EndSome() {
    std::shuffle(ids_.begin(), ids_.end(), random_);
    const uint64_t left = Pick(ids_.size() + 1);
    ASSERT_THAT(Destroy({ids_.begin() + left, ids_.end()}), IsOk());
    ids_.resize(left);
  }

  // Past the RAM, so that no page in use is overwritten.
  void SetSome() {
    const uint64_t first = kAbi.mid_span() + Pick(3 * kAbi.mid_span() - 5000);
    const P2mList::RangeFill fill = Pick(2) == 0
                                        ? P2mList::RangeFill::Missing()
                                        : P2mList::RangeFill::Identity();
    const uint64_t mids = list_->Summary().private_mids;
    const uint64_t rewritten = spaces_->totals().entries_rewritten;
    // If pages run out, nothing changes that this test looks at.
    list_
        ->SetRange(kPermit, {Pfn(first), PageCount(1 + Pick(5000))}, fill,
                   free_)
        .IgnoreError();
    const uint64_t split = list_->Summary().private_mids - mids;
    EXPECT_EQ(spaces_->totals().entries_rewritten - rewritten,
              2 * split * (spaces_->totals().listed + 1));
    last_set_ = first;
  }

  void Check() {
    ASSERT_THAT(spaces_->CheckInvariants(), IsOk());
    EXPECT_EQ(spaces_->totals().spaces, ids_.size());
    std::vector<uint64_t> pfns = {0, last_set_, last_set_ + 1};
    for (int i = 0; i < 20; ++i) pfns.push_back(Pick(kMids * kAbi.mid_span()));
    for (int i = 0; !ids_.empty() && i < 5; ++i) {
      std::vector<P2mWord> words;
      ASSERT_THAT(spaces_->Translate(ids_[Pick(ids_.size())], pfns, words),
                  IsOk());
      for (size_t j = 0; j < pfns.size(); ++j) {
        ASSERT_EQ(words[j].ToString(), list_->Lookup(Pfn(pfns[j])).ToString())
            << "pfn " << pfns[j];
      }
    }
  }

  std::mt19937_64 random_;
  std::vector<uint64_t> ids_;
  uint64_t last_set_ = 0;
};

TEST_P(AddressSpacesRandomTest, EveryProcessSeesTheListsAnswer) {
  Make(GetParam().shared_kernel_pmd, GetParam().user_pgds);
  for (const uint64_t seed : TestSeeds(1)) {
    SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", seed));
    random_.seed(seed);
    for (int step = 0; step < 200 && !HasFatalFailure(); ++step) {
      SCOPED_TRACE(absl::StrCat("step ", step));
      Step();
      Check();
    }
  }
  EXPECT_EQ(list_->Summary().private_mids, kMids) << "a mid was never split";
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, AddressSpacesRandomTest,
    testing::Values(PaeKernel{false, 3}, PaeKernel{false, 2},
                    PaeKernel{false, 1}, PaeKernel{true, 3}, PaeKernel{true, 2},
                    PaeKernel{true, 1}),
    [](const auto& param_info) {
      return absl::StrCat(
          param_info.param.shared_kernel_pmd ? "Shared" : "Unshared",
          param_info.param.user_pgds, "UserPgds");
    });

}  // namespace
}  // namespace simvisor
