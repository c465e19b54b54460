#include "client/verbs/migration_fate.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/verbs/fake_daemon.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string Described(v1::MigrationState state) {
  v1::Migration migration;
  migration.set_migration_id("0123");
  migration.set_name("web");
  migration.set_domid(3);
  migration.set_peer("host:77");
  migration.set_state(state);
  return DescribeFate(migration);
}

TEST(MigrationFateTest, EachOutcomeSaysWhereTheDomainRuns) {
  EXPECT_EQ(Described(v1::MIGRATION_STATE_KEPT),
            "web (3) stays here and runs on; host:77 drops what it has "
            "received");
  EXPECT_EQ(Described(v1::MIGRATION_STATE_MOVED),
            "web (3) has moved: it runs at host:77 and is gone here");
  EXPECT_THAT(Described(v1::MIGRATION_STATE_UNKNOWN),
              AllOf(HasSubstr("stays suspended here"),
                    HasSubstr("'migrate-resolve 0123'")));
  EXPECT_THAT(Described(v1::MIGRATION_STATE_COMMITTING),
              HasSubstr("has not decided yet"));
}

class FindFateTest : public testing::Test {
 protected:
  std::string Find(const std::string& id) {
    const auto client = Client::Create(address_, Client::Options());
    EXPECT_TRUE(client.ok()) << client.status();
    return FindFate(**client, id, absl::ZeroDuration());
  }

  ScopedFolder folder_;
  const std::string address_ = "unix:" + folder_ / "fake.sock";
  FakeDaemon daemon_{address_};
};

TEST_F(FindFateTest, OnlyTheMigrationFromHereCounts) {
  daemon_.Answer(
      "ListMigrations",
      {"migrations { migration_id: 'one' name: 'web' direction: "
       "MIGRATION_DIRECTION_INCOMING state: MIGRATION_STATE_COMMITTED } "
       "migrations { migration_id: 'one' name: 'web' direction: "
       "MIGRATION_DIRECTION_OUTGOING state: MIGRATION_STATE_MOVED }"});
  EXPECT_THAT(Find("one"), HasSubstr("has moved"));
  EXPECT_THAT(Find("two"), HasSubstr("migration two had not begun"));
}

TEST_F(FindFateTest, CallThatSaidNothingYetHadNotBegun) {
  EXPECT_THAT(Find(""), HasSubstr("the domain stays here"));
}

TEST_F(FindFateTest, DaemonThatDoesNotAnswerLeavesItOpen) {
  daemon_.Refuse("ListMigrations", grpc::StatusCode::UNAVAILABLE, "", "gone");
  EXPECT_THAT(Find("one"), HasSubstr("is not known"));
}

}  // namespace
}  // namespace simvisor::client
