// vcpu-pin and vcpu-list against a daemon of canned answers in this process.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "client/app.h"
#include "client/ui/exit_code.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "simvisor/v1/domain_service.grpc.pb.h"
#include "simvisor/v1/host_service.grpc.pb.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kHeader[] =
    "Name                                ID  VCPU   CPU State   Time(s) "
    "Affinity (Hard / Soft)\n";

grpc::Status Error(grpc::StatusCode code, const std::string& reason) {
  google::rpc::ErrorInfo info;
  info.set_domain("simvisor");
  info.set_reason(reason);
  google::rpc::Status details;
  details.add_details()->PackFrom(info);
  return {code, "refused", details.SerializeAsString()};
}

// web (1) runs with three virtual CPUs, mail (2) is paused with one, and gone
// (3) is listed but dies meanwhile.
class FakeDomains : public v1::DomainService::Service {
 public:
  FakeDomains() {
    Add(1, "web", v1::DOMAIN_STATE_RUNNING);
    Add(2, "mail", v1::DOMAIN_STATE_PAUSED);
    Add(3, "gone", v1::DOMAIN_STATE_DYING);
  }

  grpc::Status ListDomains(grpc::ServerContext*, const v1::ListDomainsRequest*,
                           v1::ListDomainsResponse* response) override {
    *response = domains_;
    return grpc::Status::OK;
  }

  grpc::Status GetDomain(grpc::ServerContext*,
                         const v1::GetDomainRequest* request,
                         v1::GetDomainResponse* response) override {
    for (const v1::Domain& domain : domains_.domains()) {
      if (domain.name() != request->domain().name()) continue;
      *response->mutable_domain() = domain;
      return grpc::Status::OK;
    }
    return Error(grpc::StatusCode::NOT_FOUND, "DOMAIN_NOT_FOUND");
  }

  // Two virtual CPUs to a page.
  grpc::Status ListVcpus(grpc::ServerContext*,
                         const v1::ListVcpusRequest* request,
                         v1::ListVcpusResponse* response) override {
    const uint32_t domid = request->domain().domid();
    if (domid == 3) {
      return Error(grpc::StatusCode::FAILED_PRECONDITION, "DOMAIN_DYING");
    }
    const uint32_t first = request->page_token().empty() ? 0 : 2;
    for (uint32_t i = first; i < first + 2 && i < (domid == 1 ? 3 : 1); ++i) {
      v1::Vcpu* vcpu = response->add_vcpus();
      vcpu->set_vcpu(i);
      AddRange(vcpu->mutable_hard(), i, i + 1);
      AddRange(vcpu->mutable_soft(), 0, 64);
    }
    if (domid == 1 && first == 0) response->set_next_page_token("2");
    return grpc::Status::OK;
  }

  grpc::Status SetVcpuAffinity(grpc::ServerContext*,
                               const v1::SetVcpuAffinityRequest* request,
                               v1::SetVcpuAffinityResponse*) override {
    pinned = *request;
    ++pins;
    if (!request->vcpus().empty() && request->vcpus(0) > 2) {
      return Error(grpc::StatusCode::INVALID_ARGUMENT, "VCPU_OUT_OF_RANGE");
    }
    return grpc::Status::OK;
  }

  v1::SetVcpuAffinityRequest pinned;
  int pins = 0;

 private:
  static void AddRange(v1::CpuSet* set, uint32_t first, uint32_t count) {
    v1::CpuRange* range = set->add_ranges();
    range->set_first_cpu(first);
    range->set_count(count);
  }
  void Add(uint32_t domid, const std::string& name, v1::DomainState state) {
    v1::Domain* domain = domains_.add_domains();
    domain->set_domid(domid);
    domain->set_name(name);
    domain->set_state(state);
  }

  v1::ListDomainsResponse domains_;
};

class FakeHost : public v1::HostService::Service {
 public:
  grpc::Status GetHost(grpc::ServerContext*, const v1::GetHostRequest*,
                       v1::GetHostResponse* response) override {
    v1::CpuMaskTable* masks = response->mutable_host()->mutable_cpu_masks();
    masks->set_cpus(64);
    masks->set_table_bytes(520);
    return grpc::Status::OK;
  }
};

class VcpuCommandsTest : public ::testing::Test {
 protected:
  VcpuCommandsTest() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
    builder.RegisterService(&domains_);
    builder.RegisterService(&host_);
    server_ = builder.BuildAndStart();
  }

  int Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"-a", address_});
    std::ostringstream out;
    std::ostringstream err;
    const int code = RunApp(arguments, {.out = out, .err = err});
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  ScopedFolder folder_;
  const std::string address_ = "unix:" + folder_ / "fake.sock";
  FakeDomains domains_;
  FakeHost host_;
  std::unique_ptr<grpc::Server> server_;
  std::string out_;
  std::string err_;
};

TEST_F(VcpuCommandsTest, ListHasXlsColumns) {
  EXPECT_EQ(Run({"vcpu-list"}), kExitDone);
  EXPECT_EQ(out_, std::string(kHeader) +
                      "web                                  1     0    -   "
                      "-b-       0.0  0 / all\n"
                      "web                                  1     1    -   "
                      "-b-       0.0  1-2 / all\n"
                      "web                                  1     2    -   "
                      "-b-       0.0  2-4 / all\n"
                      "mail                                 2     0    -   "
                      "---       0.0  0 / all\n");
  EXPECT_EQ(err_, "");
}

TEST_F(VcpuCommandsTest, ListOfNamedDomains) {
  EXPECT_EQ(Run({"vcpu-list", "mail"}), kExitDone);
  EXPECT_THAT(out_, AllOf(HasSubstr("\nmail "), Not(HasSubstr("web"))));
  EXPECT_EQ(Run({"vcpu-list", "nobody"}), kExitFailed);
  EXPECT_THAT(err_,
              HasSubstr("nobody is an invalid domain identifier (rc=-6)\n"));
  EXPECT_EQ(out_, "");
  EXPECT_EQ(Run({"vcpu-list", "gone"}), kExitFailed);
  EXPECT_THAT(err_, HasSubstr("(DOMAIN_DYING)"));
}

TEST_F(VcpuCommandsTest, ListAsJsonHasXlsSets) {
  EXPECT_EQ(Run({"vcpu-list", "mail", "-o", "json"}), kExitDone);
  EXPECT_THAT(
      out_, AllOf(HasSubstr("\"name\": \"mail\""), HasSubstr("\"hard\": \"0\""),
                  HasSubstr("\"soft\": \"all\"")));
}

TEST_F(VcpuCommandsTest, PinSendsWhatIsNamedAndNoMore) {
  EXPECT_EQ(Run({"vcpu-pin", "web", "2", "0-3,^1"}), kExitDone);
  EXPECT_EQ(out_ + err_, "");
  EXPECT_EQ(domains_.pinned.domain().name(), "web");
  EXPECT_THAT(domains_.pinned.vcpus(), testing::ElementsAre(2));
  EXPECT_EQ(domains_.pinned.hard().ranges_size(), 2);
  EXPECT_FALSE(domains_.pinned.has_soft());

  EXPECT_EQ(Run({"vcpu-pin", "web", "all", "-", "all"}), kExitDone);
  EXPECT_TRUE(domains_.pinned.vcpus().empty());
  EXPECT_FALSE(domains_.pinned.has_hard());
  EXPECT_TRUE(domains_.pinned.has_soft());
  EXPECT_TRUE(domains_.pinned.soft().ranges().empty());

  EXPECT_EQ(Run({"vcpu-pin", "-f", "web", "0", "1", "-"}), kExitDone);
  EXPECT_FALSE(domains_.pinned.has_soft());
}

TEST_F(VcpuCommandsTest, DryRunPrintsTheSetsAndSendsNothing) {
  EXPECT_EQ(Run({"vcpu-pin", "-N", "web", "0", "0-3,^1"}), kExitDone);
  EXPECT_EQ(out_, "cpumap: 0,2-3\n");
  EXPECT_EQ(Run({"vcpu-pin", "-N", "web", "all", "all,^0", "nodes:0"}),
            kExitDone);
  EXPECT_EQ(out_, "cpumap: 1-63 all\n");
  EXPECT_EQ(Run({"vcpu-pin", "-N", "web", "all", "-", "7"}), kExitDone);
  EXPECT_EQ(out_, "cpumap: - 7\n");
  EXPECT_EQ(Run({"vcpu-pin", "-N", "web", "all", "60-64"}), kExitFailed);
  EXPECT_EQ(err_, "CPU 64: the host has CPUs 0 to 63\n");
  EXPECT_EQ(domains_.pins, 0);
}

TEST_F(VcpuCommandsTest, RefusedPinFailsInXlsWords) {
  EXPECT_EQ(Run({"vcpu-pin", "web", "3", "0"}), kExitFailed);
  EXPECT_EQ(err_,
            "Could not set affinity for vcpu `3'.\n"
            "refused (VCPU_OUT_OF_RANGE)\n");
}

TEST_F(VcpuCommandsTest, BadArgumentsOfPinFailInXlsWords) {
  struct Case {
    std::vector<std::string> arguments;
    std::string message;
  };
  const std::vector<Case> kCases = {
      {{"web", "x", "0"}, "Error: Invalid argument x as VCPU."},
      {{"web", "1x", "0"}, "Error: Invalid argument 1x as VCPU."},
      {{"web", "", "0"}, "Error: Invalid argument  as VCPU."},
      {{"web", "4294967296", "0"}, "as VCPU."},
      {{"-f", "web", "all", "0"},
       "Error: --force and 'all' as VCPU not allowed."},
      {{"web", "0", "0-x"}, "Invalid pcpu range: 0-x."},
      {{"web", "0", "0", "^all"}, "Can't combine \"^\" and \"all\"."},
      {{"web", "0", "nodes:1"}, "the host has one node"},
      {{"web", "0", "1,^1"}, "no CPU is left"},
  };
  for (const Case& c : kCases) {
    std::vector<std::string> arguments = {"vcpu-pin"};
    arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
    EXPECT_EQ(Run(arguments), kExitFailed) << c.message;
    EXPECT_THAT(err_, HasSubstr(c.message));
    EXPECT_EQ(out_, "");
  }
  EXPECT_EQ(Run({"vcpu-pin", "web", "0"}), kExitUsage);
  EXPECT_EQ(domains_.pins, 0);
}

TEST_F(VcpuCommandsTest, InfoCountsCpus) {
  EXPECT_EQ(Run({"info"}), kExitDone);
  EXPECT_THAT(out_, AllOf(HasSubstr("nr_cpus                : 64\n"
                                    "max_cpu_id             : 63\n"),
                          HasSubstr("cpu_mask_table_bytes   : 520\n")));
}

}  // namespace
}  // namespace simvisor::client
