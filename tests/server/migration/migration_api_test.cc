// Live migration through real channels, between two daemons.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "simvisor/v1/migration_service.grpc.pb.h"
#include "tests/server/migration/migration_fixture.h"

namespace simvisor::server {
namespace {

TEST_F(MigrationTest, DomainMovesWithItsMemoryAndLeavesNothing) {
  const uint64_t before = Owned();
  ASSERT_EQ(Create(Wanted("web", kPages)), "OK");
  ASSERT_EQ(Write(*memory_, "web", 3000, "hello"), "OK");
  const v1::Domain here = Get(*domains_, "web");
  std::vector<v1::MigrateDomainResponse> progress;
  ASSERT_EQ(Migrate(Wish("web"), &progress), "OK");
  EXPECT_EQ(Find(*domains_, "web"), "NOT_FOUND DOMAIN_NOT_FOUND");
  EXPECT_EQ(Owned(), before);

  const v1::Domain there = Get(*other_domains_, "web");
  EXPECT_EQ(there.state(), v1::DOMAIN_STATE_RUNNING);
  EXPECT_EQ(there.handover(), v1::HANDOVER_NONE);
  EXPECT_FALSE(there.suspended());
  EXPECT_EQ(there.uuid(), here.uuid());
  EXPECT_EQ(there.memory().current_pages(), here.memory().current_pages());
  EXPECT_EQ(Read(*other_memory_, "web", 3000, 5), "hello");

  ASSERT_FALSE(progress.empty());
  const v1::MigrateDomainResponse& last = progress.back();
  EXPECT_EQ(last.phase(), v1::MIGRATION_PHASE_MOVED);
  EXPECT_EQ(last.migration_id(), "the-one");
  EXPECT_EQ(last.domain().uuid(), here.uuid());
  EXPECT_GT(last.bytes_sent(), 8 * kPages);
  EXPECT_EQ(StateOf(*migration_, "the-one"), "MIGRATION_STATE_MOVED");
  EXPECT_EQ(StateOf(*other_migration_, "the-one"), "MIGRATION_STATE_COMMITTED");
}

TEST_F(MigrationTest, DomainMovesFromADaemonToItself) {
  ASSERT_EQ(Create(Wanted("web", kPages)), "OK");
  ASSERT_EQ(Write(*memory_, "web", 3000, "hello"), "OK");
  const v1::Domain before = Get(*domains_, "web");
  const uint64_t owned = Owned();
  v1::MigrateDomainRequest wish = Wish("web");
  wish.set_target(address_);
  std::vector<v1::MigrateDomainResponse> progress;
  ASSERT_EQ(Migrate(wish, &progress), "OK");
  const v1::Domain after = Get(*domains_, "web");
  EXPECT_NE(after.domid(), before.domid());
  EXPECT_EQ(after.uuid(), before.uuid());
  EXPECT_EQ(after.state(), v1::DOMAIN_STATE_RUNNING);
  EXPECT_EQ(after.handover(), v1::HANDOVER_NONE);
  EXPECT_EQ(progress.back().domain().name(), "web");
  EXPECT_EQ(Read(*memory_, "web", 3000, 5), "hello");
  EXPECT_EQ(Owned(), owned);
  EXPECT_EQ(Find(*domains_, "web--incoming"), "NOT_FOUND DOMAIN_NOT_FOUND");
  EXPECT_EQ(Find(*domains_, "web--migratedaway"), "NOT_FOUND DOMAIN_NOT_FOUND");
  // And again, with the name that it has now.
  wish.set_migration_id("the-second");
  EXPECT_EQ(Migrate(wish), "OK");
  EXPECT_EQ(ThisHost().domain_count(), 2u);
}

TEST_F(MigrationTest, DomainThatFindsNoRoomBesideItselfStaysAsItWas) {
  const uint64_t most = ThisHost().free_pages() / 2 + 1;
  ASSERT_EQ(Create(Wanted("web", most)), "OK");
  v1::MigrateDomainRequest wish = Wish("web");
  wish.set_target(address_);
  EXPECT_EQ(Migrate(wish), "RESOURCE_EXHAUSTED HOST_MEMORY_EXHAUSTED");
  EXPECT_EQ(Get(*domains_, "web").state(), v1::DOMAIN_STATE_RUNNING);
  EXPECT_EQ(Get(*domains_, "web").name(), "web");
}

TEST_F(MigrationTest, StrangerDoesNotStandInForADomainOfTheSameName) {
  ASSERT_EQ(Create(Wanted("web", kPages)), "OK");
  ASSERT_EQ(
      Call(*other_domains_, &Domains::CreateDomain, Wanted("web", kPages)),
      "OK");
  EXPECT_EQ(Migrate(Wish("web")), "ALREADY_EXISTS NAME_IN_USE");
}

TEST_F(MigrationTest, DomainThatHasMovedTrimsTheHeapItLeaves) {
  ASSERT_EQ(Create(Wanted("web", kPages)), "OK");
  ASSERT_EQ(Migrate(Wish("web")), "OK");
  ExpectTrims(1);
  EXPECT_EQ(other_trims_.load(), 0);
}

TEST_F(MigrationTest, DomainMayArrivePaused) {
  ASSERT_EQ(Create(Wanted("web", kPages)), "OK");
  v1::MigrateDomainRequest wish = Wish("web");
  wish.set_start_paused(true);
  ASSERT_EQ(Migrate(wish), "OK");
  EXPECT_EQ(Get(*other_domains_, "web").state(), v1::DOMAIN_STATE_PAUSED);
}

TEST_F(MigrationTest, MalformedRequestsAreRefused) {
  ASSERT_EQ(Create(Wanted("web", kPages)), "OK");
  v1::MigrateDomainRequest wish = Wish("web");
  wish.clear_domain();
  EXPECT_EQ(Migrate(wish), "INVALID_ARGUMENT ARGUMENT_MISSING");
  wish = Wish("web");
  wish.clear_target();
  EXPECT_EQ(Migrate(wish), "INVALID_ARGUMENT ARGUMENT_MISSING");
  for (const char* target : {"nonsense", "unix:", "host:0", "host:99999"}) {
    wish.set_target(target);
    EXPECT_EQ(Migrate(wish), "INVALID_ARGUMENT ARGUMENT_MALFORMED") << target;
  }
  wish = Wish("web");
  wish.mutable_policy()->set_max_passes(1001);
  EXPECT_EQ(Migrate(wish), "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  wish = Wish("web");
  wish.mutable_policy()->set_max_bytes_per_second(4095);
  EXPECT_EQ(Migrate(wish), "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  for (const std::string& id : {std::string("Upper"), std::string(65, 'a')}) {
    wish = Wish("web");
    wish.set_migration_id(id);
    EXPECT_EQ(Migrate(wish), "INVALID_ARGUMENT ARGUMENT_MALFORMED") << id;
  }
  EXPECT_EQ(Migrate(Wish("nobody")), "NOT_FOUND DOMAIN_NOT_FOUND");
  wish = Wish("web");
  wish.mutable_domain()->set_domid(0);
  EXPECT_EQ(Migrate(wish), "FAILED_PRECONDITION DOM0_PROTECTED");
  EXPECT_EQ(Get(*domains_, "web").state(), v1::DOMAIN_STATE_RUNNING);
  EXPECT_EQ(StateOf(*other_migration_, "the-one"), "none");
}

TEST_F(MigrationTest, UnreachableTargetLeavesTheDomainRunning) {
  ASSERT_EQ(Create(Wanted("web", kPages)), "OK");
  v1::MigrateDomainRequest wish = Wish("web");
  wish.set_target("unix:" + (folder_ / "nobody"));
  EXPECT_EQ(Migrate(wish), "UNAVAILABLE TARGET_UNREACHABLE");
  EXPECT_EQ(Get(*domains_, "web").state(), v1::DOMAIN_STATE_RUNNING);
  EXPECT_EQ(StateOf(*migration_, "the-one"), "MIGRATION_STATE_KEPT");
  // A second try needs another id.
  EXPECT_EQ(Migrate(Wish("web")), "FAILED_PRECONDITION MIGRATION_SETTLED");
  wish = Wish("web");
  wish.set_migration_id("another");
  EXPECT_EQ(Migrate(wish), "OK");
}

TEST_F(MigrationTest, TargetIsListedWithoutControlCharacters) {
  ASSERT_EQ(Create(Wanted("web", kPages)), "OK");
  v1::MigrateDomainRequest wish = Wish("web");
  wish.set_target("unix:" + (folder_ / "no\x1b[31m\u202ebody"));
  EXPECT_EQ(Migrate(wish), "UNAVAILABLE TARGET_UNREACHABLE");
  v1::ListMigrationsResponse response;
  ASSERT_EQ(Call(*migration_, &Migrations::ListMigrations, {}, &response),
            "OK");
  ASSERT_EQ(response.migrations_size(), 1);
  EXPECT_EQ(response.migrations(0).peer(),
            "unix:" + (folder_ / "no\\x1b[31m\\u202ebody"));
}

TEST_F(MigrationTest, TargetWithoutRoomOrWithTheNameInUseRefusesBeforeAnyPage) {
  ASSERT_EQ(Create(Wanted("web", kPages)), "OK");
  v1::CreateDomainRequest taken = Wanted("web", kPages);
  ASSERT_EQ(Call(*other_domains_, &Domains::CreateDomain, taken), "OK");
  std::vector<v1::MigrateDomainResponse> progress;
  EXPECT_EQ(Migrate(Wish("web"), &progress), "ALREADY_EXISTS NAME_IN_USE");
  for (const v1::MigrateDomainResponse& step : progress) {
    EXPECT_EQ(step.phase(), v1::MIGRATION_PHASE_ADMISSION);
  }
  taken = Wanted("big", kFrames * 9 / 10);
  ASSERT_EQ(Call(*other_domains_, &Domains::CreateDomain, taken), "OK");
  ASSERT_EQ(Create(Wanted("large", kFrames / 4)), "OK");
  v1::MigrateDomainRequest wish = Wish("large");
  wish.set_migration_id("second");
  progress.clear();
  EXPECT_EQ(Migrate(wish, &progress),
            "RESOURCE_EXHAUSTED HOST_MEMORY_EXHAUSTED");
  for (const v1::MigrateDomainResponse& step : progress) {
    EXPECT_EQ(step.phase(), v1::MIGRATION_PHASE_ADMISSION);
  }
  EXPECT_EQ(Get(*domains_, "large").state(), v1::DOMAIN_STATE_RUNNING);
}

TEST_F(MigrationTest, CancelledCallLeavesTheDomainRunningHere) {
  ASSERT_EQ(Create(Wanted("web", kPages)), "OK");
  const uint64_t before = Owned();
  v1::MigrateDomainRequest wish = Wish("web");
  wish.mutable_policy()->set_max_bytes_per_second(100000);
  grpc::ClientContext context;
  const auto reader = migration_->MigrateDomain(&context, wish);
  v1::MigrateDomainResponse progress;
  while (progress.phase() != v1::MIGRATION_PHASE_COPYING) {
    ASSERT_TRUE(reader->Read(&progress));
  }
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  // The daemon ends the migration once it sees the cancellation.
  while (StateOf(*migration_, "the-one") == "MIGRATION_STATE_COPYING") {
  }
  while (StateOf(*other_migration_, "the-one") == "MIGRATION_STATE_RECEIVING") {
  }
  EXPECT_EQ(StateOf(*migration_, "the-one"), "MIGRATION_STATE_KEPT");
  EXPECT_EQ(StateOf(*other_migration_, "the-one"), "MIGRATION_STATE_DROPPED");
  EXPECT_EQ(Get(*domains_, "web").state(), v1::DOMAIN_STATE_RUNNING);
  EXPECT_EQ(Find(*other_domains_, "web"), "NOT_FOUND DOMAIN_NOT_FOUND");
  EXPECT_EQ(Owned(), before);
}

}  // namespace
}  // namespace simvisor::server
