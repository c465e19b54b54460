// The verbs migrate, migrations and migrate-resolve, and what list says of
// domains between two daemons, against canned answers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "client/app.h"
#include "client/ui/exit_code.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "simvisor/v1/domain_service.grpc.pb.h"
#include "simvisor/v1/migration_service.grpc.pb.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class FakeMigrations : public v1::MigrationService::Service {
 public:
  grpc::Status MigrateDomain(
      grpc::ServerContext*, const v1::MigrateDomainRequest* request,
      grpc::ServerWriter<v1::MigrateDomainResponse>* writer) override {
    wish = *request;
    for (const v1::MigrateDomainResponse& step : steps) writer->Write(step);
    return outcome;
  }
  grpc::Status ListMigrations(grpc::ServerContext*,
                              const v1::ListMigrationsRequest* request,
                              v1::ListMigrationsResponse* response) override {
    if (request->page_token().empty()) {
      *response = list;
      if (!second_page.migrations().empty()) {
        response->set_next_page_token("second");
      }
    } else {
      *response = second_page;
    }
    return grpc::Status::OK;
  }
  grpc::Status ResolveMigration(
      grpc::ServerContext*, const v1::ResolveMigrationRequest* request,
      v1::ResolveMigrationResponse* response) override {
    decision = request->decision();
    response->mutable_migration()->set_state(v1::MIGRATION_STATE_KEPT);
    return grpc::Status::OK;
  }

  v1::MigrateDomainRequest wish;
  std::vector<v1::MigrateDomainResponse> steps;
  grpc::Status outcome;
  v1::ListMigrationsResponse list, second_page;
  v1::MigrationDecision decision = v1::MIGRATION_DECISION_UNSPECIFIED;
};

class FakeDomains : public v1::DomainService::Service {
 public:
  grpc::Status ListDomains(grpc::ServerContext*, const v1::ListDomainsRequest*,
                           v1::ListDomainsResponse* response) override {
    *response = list;
    return grpc::Status::OK;
  }

  v1::ListDomainsResponse list;
};

class MigrateCommandTest : public ::testing::Test {
 protected:
  MigrateCommandTest() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
    builder.RegisterService(&migrations_);
    builder.RegisterService(&domains_);
    server_ = builder.BuildAndStart();
    v1::MigrateDomainResponse step;
    step.set_phase(v1::MIGRATION_PHASE_COPYING);
    step.set_pass(1);
    step.set_pass_pfns_done(50);
    step.set_pass_pfns_total(100);
    step.set_dirty_pages(7);
    step.set_bytes_per_second(12300000);
    step.set_pass_left_ms(1500);
    migrations_.steps.push_back(step);
    step.set_phase(v1::MIGRATION_PHASE_MOVED);
    step.set_pass(3);
    step.set_data_pages(42);
    step.set_bytes_sent(180000);
    step.set_downtime_ms(9);
    migrations_.steps.push_back(step);
  }

  int Run(std::vector<std::string> arguments, bool terminal = false) {
    arguments.insert(arguments.begin(), {"-a", address_});
    std::ostringstream out;
    std::ostringstream err;
    const int code = RunApp(
        arguments, {.out = out, .err = err, .err_is_terminal = terminal});
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  ScopedFolder folder_;
  const std::string address_ = "unix:" + (folder_ / "s");
  FakeMigrations migrations_;
  FakeDomains domains_;
  std::unique_ptr<grpc::Server> server_;
  std::string out_, err_;
};

TEST_F(MigrateCommandTest, SaysHowItWentInOneLineAndOptionsTravel) {
  EXPECT_EQ(Run({"migrate", "web", "host:77", "-p", "--max-passes", "9",
                 "--min-dirty", "0", "--bandwidth", "100m", "--max-downtime",
                 "250", "--id", "one"}),
            0);
  EXPECT_THAT(out_, IsEmpty());
  EXPECT_EQ(err_,
            "Migration successful: 3 passes, 42 pages with data, 180000 bytes, "
            "9 ms of downtime.\n");
  const v1::MigrateDomainRequest& wish = migrations_.wish;
  EXPECT_EQ(wish.domain().name(), "web");
  EXPECT_EQ(wish.target(), "host:77");
  EXPECT_TRUE(wish.start_paused());
  EXPECT_EQ(wish.migration_id(), "one");
  EXPECT_EQ(wish.policy().max_passes(), 9u);
  EXPECT_TRUE(wish.policy().has_min_dirty_pages());
  EXPECT_EQ(wish.policy().min_dirty_pages(), 0u);
  EXPECT_EQ(wish.policy().max_bytes_per_second(), 100u << 20);
  EXPECT_EQ(wish.policy().max_downtime_ms(), 250u);
}

TEST_F(MigrateCommandTest, WithoutOptionsThePolicyIsTheDaemons) {
  EXPECT_EQ(Run({"migrate", "web", "host:77"}), 0);
  EXPECT_FALSE(migrations_.wish.policy().has_min_dirty_pages());
  EXPECT_EQ(migrations_.wish.policy().max_passes(), 0u);
  EXPECT_TRUE(migrations_.wish.migration_id().empty());
}

TEST_F(MigrateCommandTest, TerminalSeesABarWithPassSpeedAndWhatIsLeft) {
  EXPECT_EQ(Run({"migrate", "web", "host:77"}, /*terminal=*/true), 0);
  EXPECT_THAT(
      err_, AllOf(HasSubstr(" 50%"), HasSubstr("pass 1"), HasSubstr("7 dirty"),
                  HasSubstr("12.3 MB/s"), HasSubstr("2 s left")));
}

TEST_F(MigrateCommandTest, RelativeSocketIsMadeAbsoluteForTheDaemon) {
  EXPECT_EQ(Run({"migrate", "web", "unix:other.sock"}), 0);
  EXPECT_THAT(migrations_.wish.target(), StartsWith("unix:/"));
  EXPECT_THAT(migrations_.wish.target(), HasSubstr("/other.sock"));
}

TEST_F(MigrateCommandTest, TargetThatIsNoAddressIsAUsageError) {
  EXPECT_EQ(Run({"migrate", "web", "elsewhere"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("the port is missing"));
}

TEST_F(MigrateCommandTest, FailureIsToldAndFailsTheCommand) {
  migrations_.outcome =
      grpc::Status(grpc::StatusCode::ABORTED, "the list has changed");
  EXPECT_EQ(Run({"migrate", "web", "host:77"}), 1);
  EXPECT_THAT(err_, HasSubstr("the list has changed"));
  EXPECT_THAT(err_, testing::Not(HasSubstr("successful")));
}

TEST_F(MigrateCommandTest, MigrationsAreListedWithWhatTheyWaitFor) {
  v1::Migration& one = *migrations_.list.add_migrations();
  one.set_migration_id("0123");
  one.set_direction(v1::MIGRATION_DIRECTION_OUTGOING);
  one.set_state(v1::MIGRATION_STATE_UNKNOWN);
  one.set_domid(5);
  one.set_name("web");
  one.set_peer("host:77");
  one.set_message("no answer");
  EXPECT_EQ(Run({"migrations"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("0123"), HasSubstr("UNKNOWN"),
                          HasSubstr("web to host:77"), HasSubstr("no answer")));
}

TEST_F(MigrateCommandTest, EveryPageOfMigrationsIsListed) {
  migrations_.list.add_migrations()->set_migration_id("first");
  migrations_.second_page.add_migrations()->set_migration_id("last");
  EXPECT_EQ(Run({"migrations"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("first"), HasSubstr("last")));
}

TEST_F(MigrateCommandTest, DecisionNeedsExactlyOneAnswer) {
  EXPECT_EQ(Run({"migrate-resolve", "0123"}), kExitUsage);
  EXPECT_EQ(Run({"migrate-resolve", "0123", "--keep", "--drop"}), kExitUsage);
  EXPECT_EQ(migrations_.decision, v1::MIGRATION_DECISION_UNSPECIFIED);
  EXPECT_EQ(Run({"migrate-resolve", "0123", "--keep"}), 0);
  EXPECT_EQ(migrations_.decision, v1::MIGRATION_DECISION_KEEP);
  EXPECT_EQ(err_, "Migration 0123 is KEPT.\n");
  EXPECT_EQ(Run({"migrate-resolve", "0123", "--drop"}), 0);
  EXPECT_EQ(migrations_.decision, v1::MIGRATION_DECISION_DROP);
}

TEST_F(MigrateCommandTest, ListSaysWhichDomainsAreBetweenTwoDaemons) {
  v1::Domain& domain = *domains_.list.add_domains();
  domain.set_domid(5);
  domain.set_name("web");
  domain.set_state(v1::DOMAIN_STATE_PAUSED);
  domain.set_suspended(true);
  domain.set_handover(v1::HANDOVER_OUTGOING);
  EXPECT_EQ(Run({"list"}), 0);
  EXPECT_THAT(out_, HasSubstr("--pss-"));
  EXPECT_THAT(err_, AllOf(HasSubstr("Domain 5 (web) is being handed over"),
                          HasSubstr("see migrations")));
  domain.set_handover(v1::HANDOVER_NONE);
  EXPECT_EQ(Run({"list"}), 0);
  EXPECT_THAT(err_, IsEmpty());
}

}  // namespace
}  // namespace simvisor::client
