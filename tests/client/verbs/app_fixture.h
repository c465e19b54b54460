// The commands against fakes of the services.

#ifndef SIMVISOR_TESTS_CLIENT_VERBS_APP_FIXTURE_H_
#define SIMVISOR_TESTS_CLIENT_VERBS_APP_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
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
#include "simvisor/v1/memory_service.grpc.pb.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

inline grpc::Status Error(grpc::StatusCode code, const std::string& reason,
                          const std::string& message) {
  google::rpc::ErrorInfo info;
  info.set_domain("simvisor");
  info.set_reason(reason);
  google::rpc::Status details;
  details.add_details()->PackFrom(info);
  return {code, message, details.SerializeAsString()};
}

inline v1::Domain MakeDomain(uint32_t domid, const std::string& name) {
  v1::Domain domain;
  domain.set_domid(domid);
  domain.set_name(name);
  domain.set_vcpus(1);
  domain.set_state(v1::DOMAIN_STATE_RUNNING);
  domain.mutable_memory()->set_current_pages(256 * (domid + 1));
  return domain;
}

// Domains 0 to 4, named dom0 to dom4, listed two at a time.
class FakeDomains : public v1::DomainService::Service {
 public:
  grpc::Status ListDomains(grpc::ServerContext*,
                           const v1::ListDomainsRequest* request,
                           v1::ListDomainsResponse* response) override {
    const uint32_t first =
        request->page_token().empty() ? 0 : std::stoul(request->page_token());
    for (uint32_t id = first; id < first + 2 && id < 5; ++id) {
      *response->add_domains() = MakeDomain(id, "dom" + std::to_string(id));
    }
    if (first + 2 < 5) {
      response->set_next_page_token(std::to_string(first + 2));
    }
    return grpc::Status::OK;
  }

  grpc::Status GetDomain(grpc::ServerContext*,
                         const v1::GetDomainRequest* request,
                         v1::GetDomainResponse* response) override {
    if (request->domain().name() != "dom2" && request->domain().domid() != 2) {
      return NotFound();
    }
    *response->mutable_domain() = MakeDomain(2, "dom2");
    response->mutable_domain()->set_arch(v1::ARCH_X86_32_PAE);
    *response->mutable_domain()->mutable_balloon_driver() = driver;
    response->mutable_domain()->mutable_memory()->set_foreign_held_pages(
        foreign_held_pages);
    if (!booted) response->mutable_domain()->clear_balloon_driver();
    return grpc::Status::OK;
  }

  grpc::Status CreateDomain(grpc::ServerContext*,
                            const v1::CreateDomainRequest* request,
                            v1::CreateDomainResponse* response) override {
    created = *request;
    *response->mutable_domain() = MakeDomain(7, request->spec().name());
    return grpc::Status::OK;
  }

  grpc::Status DestroyDomain(grpc::ServerContext*,
                             const v1::DestroyDomainRequest*,
                             v1::DestroyDomainResponse*) override {
    return NotFound();
  }

  static grpc::Status NotFound() {
    return Error(grpc::StatusCode::NOT_FOUND, "DOMAIN_NOT_FOUND",
                 "no such domain");
  }

  v1::CreateDomainRequest created;
  v1::BalloonDriver driver;
  uint64_t foreign_held_pages = 0;
  bool booted = true;
};

class FakeHost : public v1::HostService::Service {
 public:
  grpc::Status GetHost(grpc::ServerContext*, const v1::GetHostRequest*,
                       v1::GetHostResponse* response) override {
    response->mutable_host()->set_total_pages(1024 * 256);
    response->mutable_host()->set_free_pages(512 * 256);
    return grpc::Status::OK;
  }

  grpc::Status AuditHost(grpc::ServerContext*, const v1::AuditHostRequest*,
                         v1::AuditHostResponse* response) override {
    response->set_clean(findings.empty());
    for (const std::string& finding : findings) {
      response->add_findings(finding);
    }
    return grpc::Status::OK;
  }

  grpc::Status ReadFrames(
      grpc::ServerContext*, const v1::ReadFramesRequest* request,
      grpc::ServerWriter<v1::ReadFramesResponse>* writer) override {
    for (const auto& extent : request->extents()) {
      v1::ReadFramesResponse response;
      response.add_frames()->set_mfn(extent.first_mfn());
      writer->Write(response);
    }
    return grpc::Status::OK;
  }

  std::vector<std::string> findings;
};

class FakeMemory : public v1::MemoryService::Service {
 public:
  grpc::Status SetMemoryTarget(grpc::ServerContext*,
                               const v1::SetMemoryTargetRequest* request,
                               v1::SetMemoryTargetResponse* response) override {
    response->mutable_memory()->set_target_pages(request->target_pages());
    response->mutable_memory()->set_current_pages(after_target);
    response->mutable_memory()->set_foreign_held_pages(foreign_held_pages);
    return grpc::Status::OK;
  }

  // Two responses whose runs adjoin.
  grpc::Status ListP2mRuns(
      grpc::ServerContext*, const v1::ListP2mRunsRequest*,
      grpc::ServerWriter<v1::ListP2mRunsResponse>* writer) override {
    for (const uint64_t pfn : {0, 256}) {
      v1::ListP2mRunsResponse response;
      auto* run = response.add_runs();
      run->set_first_pfn(pfn);
      run->set_count(256);
      run->set_p2m_class(v1::P2M_CLASS_RAM);
      run->set_first_frame(0x100 + pfn);
      writer->Write(response);
    }
    return grpc::Status::OK;
  }

  // Every slot but the first is refused.
  grpc::Status MapForeignFrames(
      grpc::ServerContext*, const v1::MapForeignFramesRequest* request,
      v1::MapForeignFramesResponse* response) override {
    mapped = *request;
    response->set_mapped_slots(1);
    response->set_failed_slots(
        static_cast<uint32_t>(request->slots_size() - 1));
    if (request->slots_size() == 1) return grpc::Status::OK;
    response->add_errors()->set_slot(1);
    response->mutable_errors(0)->set_reason("FRAME_NOT_FOREIGN");
    response->mutable_errors(0)->set_message("nobody's");
    return grpc::Status::OK;
  }

  grpc::Status UnmapForeignFrames(
      grpc::ServerContext*, const v1::UnmapForeignFramesRequest* request,
      v1::UnmapForeignFramesResponse* response) override {
    response->set_unmapped_slots(static_cast<uint32_t>(request->pfns_size()));
    response->set_freed_pages(1);
    return grpc::Status::OK;
  }

  // Frames below 10 are the domain's own, those below 20 identity.
  grpc::Status TranslateMfns(grpc::ServerContext*,
                             const v1::TranslateMfnsRequest* request,
                             v1::TranslateMfnsResponse* response) override {
    for (const uint64_t mfn : request->mfns()) {
      response->add_pfns(mfn < 20 ? mfn : UINT64_MAX);
      response->add_local_pfns(mfn < 10 ? mfn : UINT64_MAX);
    }
    return grpc::Status::OK;
  }

  uint64_t after_target = 256;
  uint64_t foreign_held_pages = 0;
  v1::MapForeignFramesRequest mapped;
};

class AppTest : public ::testing::Test {
 protected:
  AppTest() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
    builder.RegisterService(&domains_);
    builder.RegisterService(&host_);
    builder.RegisterService(&memory_);
    server_ = builder.BuildAndStart();
  }

  // Runs the program on the fake daemon; its output is in out_ and err_.
  int Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"-a", address_});
    return RunWithoutAddress(arguments);
  }

  int RunWithoutAddress(const std::vector<std::string>& arguments) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = RunApp(arguments, {.out = out, .err = err});
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  std::string WriteFile(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  ScopedFolder folder_;
  const std::string address_ = "unix:" + folder_ / "fake.sock";
  FakeDomains domains_;
  FakeHost host_;
  FakeMemory memory_;
  std::unique_ptr<grpc::Server> server_;
  std::string out_;
  std::string err_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_TESTS_CLIENT_VERBS_APP_FIXTURE_H_
