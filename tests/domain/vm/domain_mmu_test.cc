// Changes of a domain with a secondary MMU in the same process.

#include <memory>

#include "gtest/gtest.h"
#include "tests/domain/smmu/counting_mmu.h"
#include "tests/domain/vm/usual_guest.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

class DomainMmuTest : public testing::Test {
 protected:
  DomainMmuTest() {
    MmuSpec spec;
    spec.name = "device";
    EXPECT_THAT(domain_->mmus().Register({"subscribe"}, spec,
                                         {.signal = nullptr, .object = &mmu_}),
                IsOk());
  }

  CountingMmu mmu_;
  SteppedWaiter waiter_;
  std::unique_ptr<Host> host_ = MakeHost(10000);
  std::shared_ptr<Domain> domain_ =
      MustCreate(*host_, MakeSpec("a", kPages, kPages + kRoom));
};

TEST_F(DomainMmuTest, DomainThatEndsWhileARoundClosesGetsNoFrames) {
  waiter_.steps[ChangePoint::kChanged] = [&] {
    EXPECT_THAT(host_->DestroyDomain(domain_), IsOk());
  };
  const Operation down = {.name = "balloon down", .waiter = &waiter_};
  domain_->balloon().Down(down, PageCount(10), false).IgnoreError();
  EXPECT_EQ(mmu_.reason, ReleaseReason::kDestroyed);
  ExpectClean(*host_, kDom0Pages);
}

TEST_F(DomainMmuTest, ObjectIsToldThatTheGuestGoesOn) {
  const auto record = domain_->migration().Suspend({"suspend"});
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(mmu_.begins, 1);
  EXPECT_EQ(mmu_.ends, 0);
  EXPECT_THAT(domain_->migration().Resume({"resume"}, record->suspension, true),
              IsOk());
  EXPECT_EQ(mmu_.ends, 1);
}

TEST_F(DomainMmuTest, GuestThatGoesOnHereHasNotMoved) {
  const DomainMigration migration = domain_->migration();
  const auto record = migration.Suspend({"suspend"}, SuspendFor::kMigration);
  ASSERT_THAT(record, IsOk());
  ASSERT_THAT(migration.BeginHandover({"hand over"}), IsOk());
  migration.EndHandover("elsewhere");
  ASSERT_THAT(migration.Resume({"resume"}, record->suspension, true), IsOk());
  ASSERT_THAT(host_->DestroyDomain(domain_), IsOk());
  EXPECT_EQ(mmu_.reason, ReleaseReason::kDestroyed);
}

}  // namespace
}  // namespace simvisor
