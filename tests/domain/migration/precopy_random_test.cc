// Guests that write, balloon and create processes while they are copied:
// whatever they do, and in whichever pass, the twin is the same.

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"
#include "tests/support/precopy_testing.h"
#include "tests/support/random_seed.h"

namespace simvisor {
namespace {

class PrecopyRandomTest
    : public testing::TestWithParam<std::tuple<Arch, ToolsView>> {
 protected:
  // One thing that a guest does, or a client does to it.
  void DoSomething(Domain& guest) {
    const uint64_t what = random_() % 100;
    const PageCount pages(random_() % 300 + 1);
    if (what < 70) {
      const Pfn pfn(random_() % guest_pages_);
      guest.contents()
          .Write({"write"}, pfn, random_() % 4000, absl::StrCat(random_()))
          .IgnoreError();
    } else if (what < 80) {
      guest.balloon().Down({"balloon down"}, pages, true).IgnoreError();
    } else if (what < 92) {
      guest.balloon().Up({"balloon up"}, pages, true).IgnoreError();
    } else if (what < 94) {
      guest.balloon()
          .SetTarget({"set memory target"}, PageCount(3000 + random_() % 2000))
          .IgnoreError();
    } else if (what < 97) {
      const auto made = guest.processes().Create({"create address spaces"},
                                                 random_() % 3 + 1);
      if (made.ok()) spaces_.push_back(made->first_id);
    } else if (what < 99) {
      if (spaces_.empty()) return;
      guest.processes()
          .Destroy({"destroy address spaces"}, {spaces_.back()})
          .IgnoreError();
      spaces_.pop_back();
    } else if (layout_changes_) {
      guest.p2m()
          .SetRange({"set p2m"}, {Pfn(random_() % 9000), PageCount(40)},
                    P2mClass::kIdentity, Mfn(), RamPolicy::kRelease)
          .IgnoreError();
    }
  }

  void Run(uint64_t seed) {
    SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", seed));
    random_.seed(seed);
    spaces_.clear();
    const auto from = MakeHost(20000);
    const auto to = MakeHost(20000, Placement::kScatter);
    DomainSpec spec = MakeSpec("moving", guest_pages_, 9000);
    std::tie(spec.arch, spec.p2m.tools_view) = GetParam();
    const auto guest = MustCreate(*from, spec);
    for (int i = 0; i < 100; ++i) DoSomething(*guest);
    const uint64_t most = random_() % 60;
    layout_changes_ = seed % 4 == 0;
    const auto moved = MoveGuest(guest, *to, spec, [&] {
      for (uint64_t n = random_() % (most + 1); n > 0; --n) DoSomething(*guest);
    });
    EXPECT_THAT(from->Audit().findings, testing::IsEmpty());
    if (!moved.ok()) {
      EXPECT_TRUE(layout_changes_) << moved.status();
      EXPECT_EQ(ReasonOf(moved.status()), "P2M_CHANGED") << moved.status();
      ++aborted_;
      ExpectClean(*to, kDom0Pages);
      return;
    }
    ++moved_;
    ExpectSame(*guest, *moved->twin);
    ASSERT_THAT(ResumeGuest(*moved->twin, /*paused=*/true), IsOk());
    ExpectSamePages(*guest, *moved->twin);
    EXPECT_THAT(to->Audit().findings, testing::IsEmpty());
  }

  static constexpr uint64_t guest_pages_ = 5001;
  std::mt19937_64 random_;
  std::vector<uint64_t> spaces_;
  bool layout_changes_ = false;
  int moved_ = 0;
  int aborted_ = 0;
};

TEST_P(PrecopyRandomTest, TwinIsTheSameWhateverTheGuestDid) {
  for (const uint64_t seed : TestSeeds(24)) {
    Run(seed);
    if (HasFatalFailure()) return;
  }
  EXPECT_GE(moved_ + aborted_, 1);
}

INSTANTIATE_TEST_SUITE_P(
    All, PrecopyRandomTest,
    testing::Combine(testing::Values(Arch::kX86_64, Arch::kX86_32Pae),
                     testing::Values(ToolsView::kTree, ToolsView::kLinear)));

}  // namespace
}  // namespace simvisor
