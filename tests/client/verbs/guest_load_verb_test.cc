// The verb guest load against canned answers.

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
#include "simvisor/v1/guest_load_service.grpc.pb.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class FakeLoads : public v1::GuestLoadService::Service {
 public:
  grpc::Status StartGuestLoad(grpc::ServerContext*,
                              const v1::StartGuestLoadRequest* request,
                              v1::StartGuestLoadResponse* response) override {
    load = v1::GuestLoad();
    *load.mutable_spec() = request->spec();
    load.set_running(true);
    *response->mutable_load() = load;
    return grpc::Status::OK;
  }
  grpc::Status GetGuestLoad(grpc::ServerContext*,
                            const v1::GetGuestLoadRequest*,
                            v1::GetGuestLoadResponse* response) override {
    *response->mutable_load() = load;
    return grpc::Status::OK;
  }
  grpc::Status StopGuestLoad(grpc::ServerContext*,
                             const v1::StopGuestLoadRequest*,
                             v1::StopGuestLoadResponse* response) override {
    *response->mutable_load() = load;
    stopped = true;
    return grpc::Status::OK;
  }
  grpc::Status CheckGuestLoad(grpc::ServerContext*,
                              const v1::CheckGuestLoadRequest*,
                              v1::CheckGuestLoadResponse* response) override {
    *response = check;
    return grpc::Status::OK;
  }

  v1::GuestLoad load;
  v1::CheckGuestLoadResponse check;
  bool stopped = false;
};

class GuestLoadCommandTest : public ::testing::Test {
 protected:
  GuestLoadCommandTest() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
    builder.RegisterService(&loads_);
    server_ = builder.BuildAndStart();
  }

  int Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"-a", address_, "guest", "load"});
    std::ostringstream out;
    std::ostringstream err;
    const int code = RunApp(arguments, {.out = out, .err = err});
    out_ = out.str();
    err_ = err.str();
    return code;
  }
  const v1::LoadSpec& spec() const { return loads_.load.spec(); }

  ScopedFolder folder_;
  const std::string address_ = "unix:" + folder_ / "fake.sock";
  FakeLoads loads_;
  std::unique_ptr<grpc::Server> server_;
  std::string out_;
  std::string err_;
};

TEST_F(GuestLoadCommandTest, StartsWithDefaultsInSilence) {
  EXPECT_EQ(Run({"web"}), kExitDone);
  EXPECT_EQ(out_, "");
  EXPECT_EQ(spec().pages_per_second(), 1000u);
  EXPECT_EQ(spec().working_set_pages(), 16384u);
  EXPECT_EQ(spec().pattern(), v1::LOAD_PATTERN_RANDOM);
  EXPECT_EQ(spec().seed(), 1u);
}

TEST_F(GuestLoadCommandTest, StartsWithWhatItIsTold) {
  EXPECT_EQ(Run({"web", "--pages-per-second", "5", "--working-set", "300",
                 "--pattern", "hotspot", "--seed", "18446744073709551615", "-o",
                 "json"}),
            kExitDone);
  EXPECT_THAT(out_, HasSubstr("\"LOAD_PATTERN_HOTSPOT\""));
  EXPECT_EQ(spec().pages_per_second(), 5u);
  EXPECT_EQ(spec().working_set_pages(), 300u);
  EXPECT_EQ(spec().seed(), ~uint64_t{0});
  EXPECT_EQ(Run({"web", "--pattern", "sequential", "--working-set", "1g"}),
            kExitDone);
  EXPECT_EQ(spec().pattern(), v1::LOAD_PATTERN_SEQUENTIAL);
  EXPECT_EQ(spec().working_set_pages(), 262144u);
}

TEST_F(GuestLoadCommandTest, StatusAndStopTellHowFarItIs) {
  ASSERT_EQ(Run({"web", "--seed", "9"}), kExitDone);
  loads_.load.set_writes(2500);
  EXPECT_EQ(Run({"web", "--status"}), kExitDone);
  EXPECT_EQ(out_,
            "1000 pages per second, random, on 64 MiB, seed 9: 2500 writes "
            "done\n");
  loads_.load.set_running(false);
  EXPECT_EQ(Run({"web", "--status"}), kExitDone);
  EXPECT_THAT(out_, HasSubstr("2500 writes done, paused\n"));
  EXPECT_FALSE(loads_.stopped);
  EXPECT_EQ(Run({"web", "--stop"}), kExitDone);
  EXPECT_THAT(out_, HasSubstr("2500 writes done\n"));
  EXPECT_TRUE(loads_.stopped);
}

TEST_F(GuestLoadCommandTest, CheckFailsAndNamesTheFirstPageThatDiffers) {
  loads_.check.mutable_load()->set_writes(70);
  loads_.check.set_checked_pages(300);
  EXPECT_EQ(Run({"web", "--check"}), kExitDone);
  EXPECT_EQ(out_, "300 pages checked after 70 writes, 0 do not match\n");
  EXPECT_EQ(err_, "");
  loads_.check.set_mismatched_pages(2);
  loads_.check.set_first_bad_pfn(0x123);
  EXPECT_EQ(Run({"web", "--check"}), kExitFailed);
  EXPECT_THAT(err_, AllOf(HasSubstr("2 of the 300 pages of the load of web"),
                          HasSubstr("pfn 0x123")));
  EXPECT_EQ(Run({"web", "--check", "-o", "json"}), kExitFailed);
  EXPECT_THAT(out_, HasSubstr("\"first_bad_pfn\": \"291\""));
}

TEST_F(GuestLoadCommandTest, WrongWordsAreRefused) {
  EXPECT_EQ(Run({}), kExitUsage);
  EXPECT_EQ(Run({"web", "--stop", "--check"}), kExitUsage);
  EXPECT_EQ(Run({"web", "--stop", "--seed", "3"}), kExitUsage);
  EXPECT_EQ(Run({"web", "--pattern", "wild"}), kExitUsage);
  EXPECT_EQ(Run({"web", "--working-set", "64q"}), kExitUsage);
  EXPECT_EQ(Run({"web", "--pages-per-second", "-1"}), kExitUsage);
}

}  // namespace
}  // namespace simvisor::client
