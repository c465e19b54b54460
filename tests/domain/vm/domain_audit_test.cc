#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "domain/frames/frame_pool.h"
#include "domain/vm/domain.h"
#include "domain/vm/planned_domain.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

// A domain on a pool that the test can disturb behind its back.
class DomainAuditTest : public testing::Test {
 protected:
  DomainAuditTest() {
    pool_ = *FramePool::Create({{Mfn(0), PageCount(10000)}}, Mfn(256),
                               Placement::kLowest, 1);
    Domain::Params params = {.id = DomainId(3),
                             .spec = MakeSpec("a", 2000, 2000),
                             .initial = false,
                             .max_pages = PageCount(2000),
                             .affinities = VcpuAffinities(cpus_, 1),
                             .mmus = &mmus_};
    params.spec.e820 = E820Map::SingleRam(PageCount(2000));
    PlannedDomain planned = *PlanDomain(params, *pool_);
    domain_ = planned.domain;
    EXPECT_THAT(domain_->build().Populate({"create"}, std::move(planned.plan)),
                IsOk());
    EXPECT_THAT(domain_->Unpause({"unpause"}), IsOk());
  }

  std::vector<std::string> Findings() {
    DomainAuditTotals totals;
    domain_->audit().Lock();
    domain_->audit().Check(totals);
    domain_->audit().Unlock();
    EXPECT_EQ(totals.pages.value(), 2000);
    EXPECT_EQ(totals.words, 2000);
    return totals.findings;
  }

  const HostCpus cpus_{1};
  MachineMmus mmus_;
  std::unique_ptr<FramePool> pool_;
  std::shared_ptr<Domain> domain_;
};

TEST_F(DomainAuditTest, SoundDomainHasNoFindings) {
  EXPECT_THAT(Findings(), IsEmpty());
}

TEST_F(DomainAuditTest, FrameThatIsFreeBehindAWordIsFound) {
  const Mfn mfn(WordOf(*domain_, 1500).Number());
  pool_->Free({{mfn, PageCount(1)}});
  EXPECT_THAT(Findings(), Contains(HasSubstr("0x5dc")));
}

TEST_F(DomainAuditTest, FrameThatNamesAnotherPfnIsFound) {
  const Mfn mfn(WordOf(*domain_, 1500).Number());
  pool_->SetPfns({mfn, PageCount(1)}, Pfn(1501));
  EXPECT_THAT(Findings(), Contains(HasSubstr("pfn 0x5dd")));
}

TEST_F(DomainAuditTest, FrameOfAnotherDomainIsFound) {
  const Mfn mfn(WordOf(*domain_, 1500).Number());
  pool_->Free({{mfn, PageCount(1)}});
  FrameClaim claim = pool_->ClaimUpTo(PageCount(1));
  pool_->Populate(claim, DomainId(9), {Pfn(1500), PageCount(1)},
                  [](Pfn, absl::Span<const MfnExtent>) {});
  EXPECT_THAT(Findings(), Contains(HasSubstr("owner 9")));
}

}  // namespace
}  // namespace simvisor
