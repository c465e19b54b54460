#include "client/session/migration_fate.h"

#include <sstream>
#include <string>

#include "client/api/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/session/looks.h"
#include "tests/client/verbs/fake_daemon.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

std::string Described(v1::MigrationState state,
                      absl::string_view own = "unix:/here") {
  v1::Migration migration;
  migration.set_migration_id("0123");
  migration.set_name("web");
  migration.set_domid(3);
  migration.set_peer("host:77");
  migration.set_state(state);
  return DescribeFate(migration, own);
}

TEST(MigrationFateTest, EachOutcomeSaysWhereTheDomainIs) {
  EXPECT_EQ(Described(v1::MIGRATION_STATE_KEPT),
            "web (3) stays here; host:77 drops what it has received");
  EXPECT_EQ(Described(v1::MIGRATION_STATE_MOVED),
            "web (3) has moved to host:77 and is gone here");
  EXPECT_THAT(Described(v1::MIGRATION_STATE_UNKNOWN),
              AllOf(HasSubstr("stays suspended here"),
                    HasSubstr("migrate-resolve 0123 --keep or --drop")));
  EXPECT_THAT(Described(v1::MIGRATION_STATE_COMMITTING),
              HasSubstr("has not decided yet"));
}

TEST(MigrationFateTest, DomainThatMovedToTheDaemonItselfIsNotGone) {
  EXPECT_EQ(Described(v1::MIGRATION_STATE_MOVED, "host:77"),
            "web (3) has moved: it runs here under a new domid; see list");
}

class FindFateTest : public testing::Test {
 protected:
  // What FindFate() says of the migration `id`.
  std::string Find(const std::string& id, const Patience& patience = Looks(9)) {
    const auto client = Client::Create(address_, Client::Options());
    EXPECT_TRUE(client.ok()) << client.status();
    return FindFate(**client, {.id = id, .own_address = address_}, patience);
  }

  // What a command prints whose call ended with `status`, on both streams.
  std::string End(const absl::Status& status, const std::string& output) {
    std::ostringstream out;
    Session session({.out = out, .err = out});
    session.options().address = address_;
    session.options().output = output;
    const auto client = session.Connect();
    EXPECT_TRUE(client.ok()) << client.status();
    session.out() << "its output\n";
    EndInterrupted(session, **client, {.id = "one", .own_address = address_},
                   status);
    return out.str();
  }

  void HaveMoved() {
    daemon_.Answer(
        "ListMigrations",
        {"migrations { migration_id: 'one' name: 'other' direction: "
         "MIGRATION_DIRECTION_INCOMING state: MIGRATION_STATE_COMMITTED } "
         "migrations { migration_id: 'one' name: 'web' domid: 3 peer: "
         "'host:77' direction: MIGRATION_DIRECTION_OUTGOING state: "
         "MIGRATION_STATE_MOVED }"});
  }

  void BeUndecided() {
    daemon_.Answer("ListMigrations",
                   {"migrations { migration_id: 'one' direction: "
                    "MIGRATION_DIRECTION_OUTGOING state: "
                    "MIGRATION_STATE_COMMITTING }"});
  }

  ScopedFolder folder_;
  const std::string address_ = "unix:" + folder_ / "fake.sock";
  FakeDaemon daemon_{address_};
};

TEST_F(FindFateTest, OnlyTheMigrationFromHereCounts) {
  HaveMoved();
  EXPECT_EQ(Find("one"), "web (3) has moved to host:77 and is gone here");
}

TEST_F(FindFateTest, MigrationThatTheDaemonDoesNotKnowClaimsNothing) {
  HaveMoved();
  EXPECT_EQ(Find("two"),
            "the daemon does not know migration two (any more); list shows "
            "whether the domain is here");
}

TEST_F(FindFateTest, DaemonIsAskedUntilItHasDecided) {
  BeUndecided();
  HaveMoved();
  EXPECT_EQ(Find("one"), "web (3) has moved to host:77 and is gone here");
}

TEST_F(FindFateTest, DaemonThatDoesNotDecideIsNotAskedForEver) {
  BeUndecided();
  EXPECT_THAT(Find("one", Looks(2)), HasSubstr("has not decided yet"));
  EXPECT_EQ(daemon_.TakeRequests().size(), 2);
}

TEST_F(FindFateTest, LookThatTakesTooLongDoesNotHideWhatIsKnown) {
  BeUndecided();
  daemon_.Refuse("ListMigrations", grpc::StatusCode::DEADLINE_EXCEEDED, "",
                 "late");
  EXPECT_THAT(Find("one"), HasSubstr("has not decided yet"));
}

TEST_F(FindFateTest, DaemonThatRefusesLeavesItOpen) {
  daemon_.Refuse("ListMigrations", grpc::StatusCode::INTERNAL, "", "broken");
  EXPECT_EQ(Find("one"),
            "what became of migration one is not known: broken (INTERNAL)");
}

TEST_F(FindFateTest, DaemonThatDoesNotAnswerLeavesItOpen) {
  daemon_.Ignore("ListMigrations");
  EXPECT_THAT(Find("one", {.of_call = absl::Milliseconds(100)}),
              AllOf(HasSubstr("migration one is not known"),
                    HasSubstr("DEADLINE_EXCEEDED")));
}

TEST_F(FindFateTest, InterruptedCommandThatSucceededSaysWhereTheDomainIs) {
  HaveMoved();
  EXPECT_EQ(End(absl::OkStatus(), "text"),
            "its output\n"
            "interrupted; asking the daemon what became of it\n"
            "note: interrupted: web (3) has moved to host:77 and is gone "
            "here\n");
}

TEST_F(FindFateTest, CancellationByTheSignalIsNoError) {
  HaveMoved();
  EXPECT_THAT(End(absl::CancelledError("CANCELLED"), "text"),
              Not(HasSubstr("CANCELLED")));
}

TEST_F(FindFateTest, OtherErrorOfAnInterruptedCommandIsPrinted) {
  HaveMoved();
  EXPECT_THAT(End(FromGrpc({grpc::StatusCode::ABORTED, "the list has changed"},
                           address_),
                  "text"),
              EndsWith("the list has changed (ABORTED)\n"));
}

TEST_F(FindFateTest, InterruptedCommandPrintsJsonOnly) {
  HaveMoved();
  EXPECT_EQ(
      End(FromGrpc({grpc::StatusCode::ABORTED, "changed"}, address_), "json"),
      "its output\n"
      "{\"note\":\"interrupted: web (3) has moved to host:77 and is gone "
      "here\"}\n"
      "{\"code\":\"ABORTED\",\"reason\":\"\",\"message\":\"changed\","
      "\"metadata\":{}}\n");
}

}  // namespace
}  // namespace simvisor::client
