// Audits of domains whose changes wait for secondary MMUs.

#include <memory>

#include "absl/status/status.h"
#include "domain/host/host.h"
#include "domain/smmu/secondary_mmus.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/smmu/baton_waiter.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

class MmuAuditTest : public testing::Test {
 protected:
  MmuAuditTest()
      : host_(MakeHost(20000)),
        domain_(MustCreate(*host_, MakeSpec("a", 2000))) {
    MmuSpec spec;
    spec.name = "client";
    const auto id = domain_->mmus().Register(Waiting("subscribe"), spec, {});
    EXPECT_THAT(id, IsOk());
    id_ = *id;
  }
  ~MmuAuditTest() override {
    domain_->mmus().Find()->Fence(id_, FenceCause::kOperator);
    waiter_.Settle();
  }

  Operation Waiting(absl::string_view name) {
    return {.name = name, .waiter = &waiter_};
  }

  BatonWaiter waiter_;
  const std::unique_ptr<Host> host_;
  const std::shared_ptr<Domain> domain_;
  SubscriptionId id_{};
};

TEST_F(MmuAuditTest, BalloonThatIsDrivenByHandMayWait) {
  auto& job = waiter_.Start("down", [this](BatonWaiter::Job&) {
    EXPECT_THAT(domain_->balloon().Down(Waiting("balloon down"), PageCount(7),
                                        /*allow_partial=*/false),
                IsOk());
  });
  EXPECT_FALSE(job.ended());
  EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
  EXPECT_THAT(domain_->mmus().Find()->Ack(id_, 2, waiter_.Now()), IsOk());
  waiter_.Settle();
  EXPECT_TRUE(job.ended());
  EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
}

TEST_F(MmuAuditTest, BalloonDoesNotTakeBackWhatIsReleasedWhileItWaits) {
  PageCount moved;
  waiter_.Start("down", [&](BatonWaiter::Job&) {
    moved = *domain_->balloon().Down(Waiting("balloon down"), PageCount(7),
                                     /*allow_partial=*/false);
  });
  waiter_.Start("set", [this](BatonWaiter::Job&) {
    EXPECT_THAT(
        domain_->p2m().SetRange(Waiting("set p2m"), {Pfn(1500), PageCount(5)},
                                P2mClass::kMissing, Mfn(), RamPolicy::kRelease),
        IsOk());
  });
  for (const uint64_t ev : {3, 2}) {
    EXPECT_THAT(domain_->mmus().Find()->Ack(id_, ev, waiter_.Now()), IsOk());
    waiter_.Settle();
    EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
  }
  EXPECT_EQ(moved, PageCount(7));
  const DomainMemory memory = domain_->Info().memory;
  EXPECT_EQ(memory.current, PageCount(2000 - 7 - 5));
  EXPECT_EQ(memory.target, memory.current);
}

TEST_F(MmuAuditTest, WritableMappingsAreLookedUpInTheDirtyLog) {
  auto& job = waiter_.Start("log", [this](BatonWaiter::Job&) {
    EXPECT_THAT(domain_->migration().StartLogDirty(Waiting("log")), IsOk());
  });
  EXPECT_THAT(domain_->mmus().Find()->Ack(id_, 2, waiter_.Now()), IsOk());
  waiter_.Settle();
  EXPECT_TRUE(job.ended());
  EXPECT_THAT(domain_->mmus().Find()->Fault(
                  id_, {.req = 1, .pfn = Pfn(1500), .write = true}),
              IsOk());
  EXPECT_EQ(domain_->mmus().Totals().mapped, PageCount(1));
  EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
}

}  // namespace
}  // namespace simvisor
