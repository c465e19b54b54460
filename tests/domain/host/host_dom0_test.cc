// A real machine's boot log, booted as its dom0 was.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "domain/host/host.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/e820_testing.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

constexpr uint64_t kRealPages = 0x1acb65;
constexpr uint64_t kMoved = 283999;
constexpr uint64_t kMovedEnd = 0x1f20c4;

class RealDom0Test : public testing::Test {
 protected:
  RealDom0Test() {
    HostConfig config;
    config.e820 = RealMap();
    config.dom0_memory = PageCount(kRealPages);
    auto host = Host::Create(config);
    EXPECT_THAT(host, IsOk());
    host_ = *std::move(host);
    dom0_ = *host_->Find(kDom0Id);
  }

  std::unique_ptr<Host> host_;
  std::shared_ptr<Domain> dom0_;
};

TEST_F(RealDom0Test, IdentityBelowTheMapsEndIsTheLogsSixStretches) {
  const E820Map map = RealMap();
  std::vector<PfnExtent> identity;
  PageCount count;
  for (const P2mRun& run : RunsByClass(*dom0_, Pfn(0), map.EndPage())) {
    if (run.word.Class() != P2mClass::kIdentity) continue;
    // RAM of the map above the moved frames is not used.
    if (run.pfns.first.value() >= kMovedEnd) continue;
    identity.push_back(run.pfns);
    count += run.pfns.count;
    EXPECT_EQ(run.word, P2mWord::Identity(run.pfns.first));
  }
  EXPECT_EQ(identity, Holes(map));
  EXPECT_EQ(identity.size(), 6);
  EXPECT_EQ(count.value(), kMoved);
}

TEST_F(RealDom0Test, FramesUnderTheHolesAnswerBehindTheInitialMemoryInOrder) {
  static_assert(kRealPages + kMoved == kMovedEnd);
  // The builder filled pfns from 0 with the lowest frames, in order.
  std::vector<MfnExtent> frames;
  uint64_t before = 0;
  for (const PfnExtent& ram : RealMap().RamPages()) {
    const Pfn first = std::max(ram.first, Pfn(256));
    if (first >= ram.end()) continue;
    frames.push_back({Mfn(first.value()), ram.end() - first});
  }
  const auto frame_of = [&frames](uint64_t pfn) {
    for (const MfnExtent& extent : frames) {
      if (pfn < extent.count.value()) return extent.first + PageCount(pfn);
      pfn -= extent.count.value();
    }
    return Mfn::None();
  };
  for (const PfnExtent& hole : Holes(RealMap())) {
    for (Pfn pfn = hole.first; pfn < hole.end(); pfn += PageCount(1)) {
      ASSERT_EQ(WordOf(*dom0_, kRealPages + before),
                P2mWord::Ram(frame_of(pfn.value())))
          << "for the frame under pfn " << pfn.value();
      ++before;
    }
  }
  EXPECT_EQ(before, kMoved);
  std::vector<FrameRun> runs;
  const Mfn moved(WordOf(*dom0_, kRealPages).Number());
  ASSERT_THAT(host_->LookupFrames({moved, PageCount(1)}, 1, runs), IsOk());
  EXPECT_EQ(runs[0].first_pfn, Pfn(kRealPages));
}

TEST_F(RealDom0Test, CountsAddUpAndTheAuditIsClean) {
  const auto report = dom0_->p2m().Summary();
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->summary.ram, kRealPages);
  EXPECT_EQ(report->remapped.value(), kMoved);
  EXPECT_EQ(report->released.value(), 0);
  EXPECT_EQ(report->summary.missing, 0);
  ExpectClean(*host_, kRealPages);
}

}  // namespace
}  // namespace simvisor
