// A daemon in the test's own process, and clients for it.

#ifndef SIMVISOR_TESTS_SUPPORT_SERVER_FIXTURE_H_
#define SIMVISOR_TESTS_SUPPORT_SERVER_FIXTURE_H_

#include <grpc/grpc.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/allocation_faults.h"
#include "domain/e820/e820.h"
#include "domain/host/host.h"
#include "domain/units/change_waiter.h"
#include "domain/units/units.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "server/daemon.h"
#include "server/listen/listen_address.h"
#include "server/machine/fault_injector.h"
#include "server/machine/heap_trim.h"
#include "server/machine/machine.h"
#include "server/machine/mmu_waiter.h"
#include "simvisor/v1/domain_service.grpc.pb.h"
#include "simvisor/v1/host_service.grpc.pb.h"
#include "simvisor/v1/memory_service.grpc.pb.h"
#include "tests/support/fake_clock.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::server {

// Keeps gRPC up until the process ends: if it shuts down with its last server,
// it may wait 10 s for a poller of clients.
inline void KeepGrpcUp() {
  static const bool kUp = [] {
    grpc_init();
    return true;
  }();
  EXPECT_TRUE(kUp);
}

// Code and reason, as "NOT_FOUND DOMAIN_NOT_FOUND"; "OK" for success.
inline std::string Outcome(const grpc::Status& status) {
  if (status.ok()) return "OK";
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (!details.ParseFromString(status.error_details()) ||
      details.details_size() != 1 || !details.details(0).UnpackTo(&info)) {
    return "no reason: " + status.error_message();
  }
  EXPECT_EQ(details.code(), static_cast<int>(status.error_code()));
  EXPECT_EQ(details.message(), status.error_message());
  EXPECT_EQ(info.domain(), "simvisor");
  return absl::StatusCodeToString(
             static_cast<absl::StatusCode>(status.error_code())) +
         " " + info.reason();
}

inline std::unique_ptr<Host> MakeServedHost(uint64_t memory_gib,
                                            Placement placement,
                                            AllocationFaults* faults = nullptr,
                                            ChangeWaiter* waiter = nullptr) {
  HostConfig config;
  config.e820 = *DefaultHostE820(PageCount(memory_gib * kPagesPerGiB));
  config.dom0_memory = PageCount(256 * kPagesPerMiB);
  config.placement = placement;
  config.faults = faults;
  config.waiter = waiter;
  auto host = Host::Create(config);
  EXPECT_TRUE(host.ok()) << host.status();
  return host.ok() ? *std::move(host) : nullptr;
}

inline std::unique_ptr<Machine> MakeMachine(
    uint64_t memory_gib, Placement placement,
    const MachineOptions& options = MachineOptions()) {
  return std::make_unique<Machine>(MakeServedHost(memory_gib, placement),
                                   options);
}

// Makes every destroyed domain trim the heap, which is only counted.
inline MachineOptions CountTrims(std::atomic<int>* trims) {
  MachineOptions options;
  options.trim_rule = HeapTrimRule(/*many=*/1, HeapTrimRule::kManyPages);
  options.trim = [trims] { ++*trims; };
  return options;
}

class ServerTest : public testing::Test {
 protected:
  explicit ServerTest(Placement placement = Placement::kLowest,
                      uint64_t memory_gib = 8, bool fault_injection = false)
      : address_("unix:" + folder_ / "s"), faults_(fault_injection) {
    KeepGrpcUp();
    MachineOptions options = CountTrims(&trims_);
    options.clock = &clock_;
    options.faults = &faults_;
    auto machine = std::make_unique<Machine>(
        MakeServedHost(memory_gib, placement, &faults_, &waiter_), options);
    machine_ = machine.get();
    auto daemon = Daemon::Start(std::move(machine),
                                {*ListenAddress::Parse(address_),
                                 *ListenAddress::Parse("127.0.0.1:0")});
    EXPECT_TRUE(daemon.ok()) << daemon.status();
    if (daemon.ok()) daemon_ = *std::move(daemon);
    channel_ =
        grpc::CreateChannel(address_, grpc::InsecureChannelCredentials());
    hosts_ = v1::HostService::NewStub(channel_);
    domains_ = v1::DomainService::NewStub(channel_);
    memory_ = v1::MemoryService::NewStub(channel_);
  }

  // Calls `method` of `stub` and returns the outcome; fills `response` unless
  // it is null.
  template <typename Stub, typename Request, typename Response>
  static std::string Call(Stub& stub,
                          grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                       const Request&,
                                                       Response*),
                          const Request& request,
                          Response* response = nullptr) {
    grpc::ClientContext context;
    Response unused;
    return Outcome((stub.*method)(&context, request,
                                  response == nullptr ? &unused : response));
  }

  // Reads a stream to its end and returns the outcome.
  template <typename Stub, typename Request, typename Response>
  static std::string CallStream(Stub& stub,
                                std::unique_ptr<grpc::ClientReader<Response>> (
                                    Stub::*method)(grpc::ClientContext*,
                                                   const Request&),
                                const Request& request,
                                std::vector<Response>* responses = nullptr) {
    grpc::ClientContext context;
    const auto reader = (stub.*method)(&context, request);
    Response response;
    while (reader->Read(&response)) {
      if (responses != nullptr) responses->push_back(response);
    }
    return Outcome(reader->Finish());
  }

  std::string Create(const v1::CreateDomainRequest& request,
                     v1::Domain* domain = nullptr) {
    v1::CreateDomainResponse response;
    const std::string outcome = Call(
        *domains_, &v1::DomainService::Stub::CreateDomain, request, &response);
    if (domain != nullptr) *domain = response.domain();
    return outcome;
  }

  // A request for a domain with this many pages.
  static v1::CreateDomainRequest Wanted(const std::string& name,
                                        uint64_t pages) {
    v1::CreateDomainRequest request;
    request.mutable_spec()->set_name(name);
    request.mutable_spec()->set_memory_pages(pages);
    return request;
  }

  // Waits until the heap has been trimmed `times` times; fails if it is more
  // often.
  void ExpectTrims(int times) {
    while (trims_.load() < times) std::this_thread::yield();
    EXPECT_EQ(trims_.load(), times);
  }

  // The audit's findings, one to a line; empty if it is clean.
  std::string AuditFindings() {
    v1::AuditHostResponse response;
    const std::string outcome =
        Call(*hosts_, &v1::HostService::Stub::AuditHost, {}, &response);
    std::string findings = outcome == "OK" ? "" : outcome;
    for (const std::string& finding : response.findings()) {
      findings += finding + "\n";
    }
    return findings;
  }

  const ScopedFolder folder_;
  const std::string address_;
  // For the timers of balloons, of loads, of leases and of stalls.
  FakeClock clock_{4};
  FaultInjector faults_;
  MmuWaiter waiter_{&clock_, &faults_};
  std::atomic<int> trims_ = 0;
  Machine* machine_ = nullptr;  // the daemon's
  std::unique_ptr<Daemon> daemon_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::HostService::Stub> hosts_;
  std::unique_ptr<v1::DomainService::Stub> domains_;
  std::unique_ptr<v1::MemoryService::Stub> memory_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_SUPPORT_SERVER_FIXTURE_H_
