// migrate, migrations, migrate-resolve, save, restore.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/ui/exit_code.h"
#include "tests/client/verbs/verb_fixture.h"

namespace simvisor::client {
namespace {

class MigrateVerbsTest : public VerbTest {
 protected:
  void HaveMove() {
    daemon_.Answer(
        "MigrateDomain",
        {"phase: MIGRATION_PHASE_COPYING pass: 1 pass_pfns_done: 50 "
         "pass_pfns_total: 100 dirty_pages: 7 bytes_per_second: 12300000 "
         "pass_left_ms: 1500",
         "phase: MIGRATION_PHASE_MOVED pass: 3 pass_pfns_done: 50 "
         "pass_pfns_total: 100 dirty_pages: 7 bytes_per_second: 12300000 "
         "pass_left_ms: 1500 data_pages: 42 bytes_sent: 180000 "
         "downtime_ms: 9"});
  }
};

TEST_F(MigrateVerbsTest, Migrate) {
  Begin("migrate");
  HaveMove();
  Run("migrate web host:77 -p --max-passes 9 --min-dirty 0 --bandwidth 100m "
      "--max-downtime 250 --id one");
  Note("Without options the policy is the daemon's");
  Run("migrate web host:77");
  Run("migrate web host:77 -o json");
  Note("xl's other options change nothing");
  Run("migrate -e --live --debug -s 'ssh -p 22' web host:77");
  Note("A terminal gets a bar with pass, speed and what is left");
  RunOnTerminal("migrate web host:77");
  Note("A migration that does not converge says so once");
  daemon_.Forget("MigrateDomain");
  daemon_.Answer(
      "MigrateDomain",
      {"phase: MIGRATION_PHASE_COPYING pass: 3 pass_pfns_total: 5000 "
       "bytes_per_second: 20000000 not_converging: true",
       "phase: MIGRATION_PHASE_COPYING pass: 4 pass_pfns_total: 5100 "
       "bytes_per_second: 20000000 not_converging: true",
       "phase: MIGRATION_PHASE_MOVED pass: 6 downtime_ms: 900"});
  Run("migrate web host:77");
  Run("migrate 3 host:77 --bandwidth 20000k");
  Note("... but not for a few pages");
  daemon_.Forget("MigrateDomain");
  daemon_.Answer("MigrateDomain",
                 {"phase: MIGRATION_PHASE_COPYING pass: 3 pass_pfns_total: 999 "
                  "bytes_per_second: 20000000 not_converging: true",
                  "phase: MIGRATION_PHASE_MOVED pass: 6 downtime_ms: 9"});
  Run("migrate web host:77");
  Note("A target that is not an address is a usage error");
  Run("migrate web elsewhere");
  Note("A failure fails the command");
  daemon_.Forget("MigrateDomain");
  daemon_.Refuse("MigrateDomain", grpc::StatusCode::ABORTED, "",
                 "the list has changed",
                 {"phase: MIGRATION_PHASE_COPYING pass: 1"});
  Run("migrate web host:77");
  Note("A daemon that is lost on the way may have handed the domain over");
  daemon_.Forget("MigrateDomain");
  daemon_.Refuse("MigrateDomain", grpc::StatusCode::UNAVAILABLE, "",
                 "Socket closed",
                 {"migration_id: 'one' phase: MIGRATION_PHASE_COMMITTING"});
  Run("migrate web host:77");
}

// Not in the transcript: the path depends on the test's directory.
TEST_F(MigrateVerbsTest, RelativeSocketIsMadeAbsoluteForTheDaemon) {
  HaveMove();
  EXPECT_EQ(RunUnseen("migrate web unix:other.sock"), kExitDone);
  const std::vector<std::string> requests = daemon_.TakeRequests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_THAT(requests[0],
              testing::ContainsRegex("target: \"unix:/[^\"]*/other.sock\""));
}

TEST_F(MigrateVerbsTest, LocalhostIsTheDaemonItself) {
  HaveMove();
  EXPECT_EQ(RunUnseen("migrate web localhost"), kExitDone);
  const std::vector<std::string> requests = daemon_.TakeRequests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_THAT(requests[0],
              testing::HasSubstr(absl::StrCat("target: \"", address_, "\"")));
}

TEST_F(MigrateVerbsTest, Migrations) {
  Begin("migrations");
  Note("Every page is listed, with what each waits for");
  daemon_.Answer(
      "ListMigrations",
      {"migrations { migration_id: '0123' direction: "
       "MIGRATION_DIRECTION_OUTGOING state: MIGRATION_STATE_UNKNOWN domid: 5 "
       "name: 'web' peer: 'host:77' message: 'no answer' } "
       "next_page_token: 'second'"});
  daemon_.Answer(
      "ListMigrations",
      {"migrations { migration_id: 'last' direction: "
       "MIGRATION_DIRECTION_INCOMING state: MIGRATION_STATE_KEPT }"});
  Run("migrations");
}

TEST_F(MigrateVerbsTest, MigrateResolve) {
  Begin("migrate-resolve");
  daemon_.Answer("ResolveMigration",
                 {"migration { state: MIGRATION_STATE_KEPT }"});
  daemon_.Answer("ResolveMigration",
                 {"migration { state: MIGRATION_STATE_DROPPED }"});
  Note("Exactly one answer is needed");
  Run("migrate-resolve 0123");
  Run("migrate-resolve 0123 --keep --drop");
  Run("migrate-resolve 0123 --keep");
  Run("migrate-resolve 0123 --drop");
}

TEST_F(MigrateVerbsTest, Save) {
  Begin("save");
  daemon_.Answer("SaveDomain",
                 {"data: 'one ' pfns_done: 1 pfns_total: 2",
                  "data: 'two' pfns_done: 2 pfns_total: 2 last: true"});
  daemon_.Answer("SaveDomain", {});
  Note("The second request says that the image is stored");
  Run("save web " + folder_ / "image" + " --layer libxc -c");
  daemon_.Forget("SaveDomain");
  Note("The domain resumes if the daemon gives up half-way");
  daemon_.Refuse("SaveDomain", grpc::StatusCode::ABORTED, "", "a fault",
                 {"data: 'one '"});
  Run("save web " + folder_ / "image" + " -p");
  Note("FILE stays as it was if the connection breaks half-way");
  daemon_.Forget("SaveDomain");
  daemon_.Refuse("SaveDomain", grpc::StatusCode::UNAVAILABLE, "",
                 "Socket closed", {"data: 'one '"});
  Run("save web " + folder_ / "image");
  Run("save web f -c -p");
  Run("save web f --layer xen");
}

TEST_F(MigrateVerbsTest, Restore) {
  Begin("restore");
  Run("restore");
  Run("restore - -");
  Run("restore " + folder_ / "none");
  Run("restore a b c");
  Note("Of CONFIG and FILE, the configuration comes first");
  const std::string image = WriteFile("web.img", "LibxlFmt and more");
  Run("restore " + image + " " + WriteFile("web.cfg", "name = 'web'"));
}

}  // namespace
}  // namespace simvisor::client
