// FaultService through a real channel, and what the faults leave behind.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "server/machine/fault_points.h"
#include "simvisor/v1/fault_service.grpc.pb.h"
#include "simvisor/v1/migration_service.grpc.pb.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {
namespace {

using Faults = v1::FaultService::Stub;
using Hosts = v1::HostService::Stub;
using Domains = v1::DomainService::Stub;
using Memory = v1::MemoryService::Stub;

constexpr uint64_t kFaultPages = 4096;
constexpr char kInjected[] = "UNAVAILABLE FAULT_INJECTED";

class FaultTest : public ServerTest {
 protected:
  explicit FaultTest(bool fault_injection = true)
      : ServerTest(Placement::kLowest, 8, fault_injection),
        faults_stub_(v1::FaultService::NewStub(channel_)),
        migration_(v1::MigrationService::NewStub(channel_)) {}

  void TearDown() override {
    if (daemon_ == nullptr) return;
    EXPECT_EQ(AuditFindings(), "");
  }

  // Sets the rule that this text describes.
  std::string Add(const std::string& text, uint64_t* id = nullptr) {
    v1::AddFaultRequest request;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        text, request.mutable_rule()))
        << text;
    v1::AddFaultResponse response;
    const std::string outcome =
        Call(*faults_stub_, &Faults::AddFault, request, &response);
    if (id != nullptr) *id = response.id();
    return outcome;
  }
  // Makes the point fail the next time.
  void FailOnce(const std::string& point, int skip = 0) {
    ASSERT_EQ(Add(absl::StrCat("point: '", point,
                               "' error { code: 'UNAVAILABLE' } count: 1 "
                               "skip: ",
                               skip)),
              "OK");
  }
  v1::ListFaultsResponse List() {
    v1::ListFaultsResponse response;
    EXPECT_EQ(Call(*faults_stub_, &Faults::ListFaults, {}, &response), "OK");
    return response;
  }
  void ExpectAllActedOnce() {
    const v1::ListFaultsResponse list = List();
    for (const v1::Fault& fault : list.faults()) {
      EXPECT_EQ(fault.acted(), 1u) << fault.ShortDebugString();
    }
  }
  std::string RemoveAll() {
    v1::RemoveFaultsRequest request;
    request.set_all(true);
    return Call(*faults_stub_, &Faults::RemoveFaults, request);
  }

  uint64_t FreePages() {
    v1::GetHostResponse response;
    EXPECT_EQ(Call(*hosts_, &Hosts::GetHost, {}, &response), "OK");
    return response.host().free_pages();
  }
  template <typename Request>
  static Request For(const std::string& name) {
    Request request;
    request.mutable_domain()->set_name(name);
    return request;
  }
  std::string Get(const std::string& name, v1::Domain* domain = nullptr) {
    v1::GetDomainResponse response;
    const std::string outcome =
        Call(*domains_, &Domains::GetDomain, For<v1::GetDomainRequest>(name),
             &response);
    if (domain != nullptr) *domain = response.domain();
    return outcome;
  }
  uint64_t CurrentPages(const std::string& name) {
    v1::Domain domain;
    EXPECT_EQ(Get(name, &domain), "OK");
    return domain.memory().current_pages();
  }

  // Fills two MiB of the domain, so that an image has several pieces.
  void Fill(const std::string& name) {
    for (const uint64_t pfn : {1024, 1280}) {
      auto request = For<v1::WriteGuestMemoryRequest>(name);
      request.set_pfn(pfn);
      request.set_data(std::string(1 << 20, 'x'));
      ASSERT_EQ(Call(*memory_, &Memory::WriteGuestMemory, request), "OK");
    }
  }

  // Saves a domain into `image`, and confirms that it is stored.
  std::string Save(const std::string& name, std::string* image) {
    image->clear();
    grpc::ClientContext context;
    const auto stream = migration_->SaveDomain(&context);
    v1::SaveDomainRequest request;
    request.mutable_start()->mutable_domain()->set_name(name);
    stream->Write(request);
    v1::SaveDomainResponse piece;
    while (!piece.last() && stream->Read(&piece)) *image += piece.data();
    request.mutable_stored();
    stream->Write(request);
    stream->WritesDone();
    return Outcome(stream->Finish());
  }

  // Restores `image` in pieces of 64 KiB.
  std::string Restore(const std::string& image) {
    constexpr size_t kPiece = 65536;
    grpc::ClientContext context;
    v1::RestoreDomainResponse response;
    const auto stream = migration_->RestoreDomain(&context, &response);
    v1::RestoreDomainRequest request;
    request.mutable_options();
    bool open = stream->Write(request);
    request.clear_options();
    for (size_t at = 0; open && at < image.size(); at += kPiece) {
      request.set_data(image.substr(at, kPiece));
      open = stream->Write(request);
    }
    stream->WritesDone();
    return Outcome(stream->Finish());
  }

  const std::unique_ptr<Faults> faults_stub_;
  const std::unique_ptr<v1::MigrationService::Stub> migration_;
};

class ServerFaultsOffTest : public FaultTest {
 protected:
  ServerFaultsOffTest() : FaultTest(/*fault_injection=*/false) {}
};

TEST_F(ServerFaultsOffTest, EveryMethodIsRefused) {
  const std::string refused = "FAILED_PRECONDITION FAULT_INJECTION_DISABLED";
  EXPECT_EQ(Add("point: 'save.begin' crash {}"), refused);
  EXPECT_EQ(Call(*faults_stub_, &Faults::ListFaults, {}), refused);
  EXPECT_EQ(RemoveAll(), refused);
  grpc::ClientContext context;
  v1::AddFaultResponse response;
  EXPECT_THAT(faults_stub_->AddFault(&context, {}, &response).error_message(),
              testing::HasSubstr("--enable-fault-injection"));
}

class ServerFaultApiTest : public FaultTest {};

TEST_F(ServerFaultApiTest, RulesAreListedWithDefaultsAndCounts) {
  uint64_t id = 0;
  ASSERT_EQ(Add("point: 'create.begin' domain: 'web' delay_ms: 1 skip: 1 "
                "count: 7 probability: 0.5",
                &id),
            "OK");
  EXPECT_EQ(id, 1u);
  ASSERT_EQ(Add("point: 'create.begin' error {}", &id), "OK");
  EXPECT_EQ(id, 2u);
  ASSERT_EQ(Add("point: 'frame.allocate' error {} skip: 1000000000"), "OK");
  EXPECT_EQ(Create(Wanted("web", kFaultPages)), "INTERNAL FAULT_INJECTED");
  const v1::ListFaultsResponse list = List();
  ASSERT_EQ(list.faults_size(), 3);
  const v1::Fault& first = list.faults(0);
  EXPECT_EQ(first.id(), 1u);
  EXPECT_EQ(first.rule().domain(), "web");
  EXPECT_EQ(first.rule().delay_ms(), 1u);
  EXPECT_EQ(first.rule().count(), 7u);
  EXPECT_EQ(first.rule().probability(), 0.5);
  EXPECT_EQ(first.hits(), 1u);
  EXPECT_EQ(first.acted(), 0u);
  EXPECT_EQ(list.faults(1).rule().error().code(), "INTERNAL");
  EXPECT_EQ(list.faults(1).rule().probability(), 1);
  EXPECT_EQ(list.faults(1).acted(), 1u);
  EXPECT_TRUE(list.faults(2).rule().has_error());
  EXPECT_EQ(list.faults(2).rule().error().code(), "");
  EXPECT_EQ(static_cast<size_t>(list.points_size()), AllFaultPoints().size());
  EXPECT_EQ(list.points(0).name(), "create.begin");
  EXPECT_FALSE(list.points(0).allocation());
}

TEST_F(ServerFaultApiTest, ListedRuleCanBeSetAgain) {
  for (const char* rule :
       {"point: 'save.piece' domain: 'web' error { code: 'ABORTED' }",
        "point: 'frame.allocate' error {}",
        "point: 'frame.allocate' crash {} skip: 1000000000"}) {
    ASSERT_EQ(Add(rule), "OK");
  }
  const v1::ListFaultsResponse list = List();
  for (const v1::Fault& fault : list.faults()) {
    EXPECT_EQ(Add(fault.rule().ShortDebugString()), "OK");
  }
}

TEST_F(ServerFaultApiTest, InvalidRulesAreRefused) {
  struct Refusal {
    std::string rule;
    std::string reason;
  };
  const std::string malformed = "ARGUMENT_MALFORMED";
  const std::vector<Refusal> refusals = {
      {"crash {}", "ARGUMENT_MISSING"},
      {"point: 'save.begin'", "ARGUMENT_MISSING"},
      {"point: 'save.nothing' crash {}", malformed},
      {"point: 'SAVE.BEGIN' crash {}", malformed},
      {"point: 'save.begin' error { code: 'OK' }", malformed},
      {"point: 'save.begin' error { code: 'unavailable' }", malformed},
      {"point: 'save.begin' delay_ms: 0", malformed},
      {"point: 'save.begin' delay_ms: 60001", "ARGUMENT_TOO_LARGE"},
      {"point: 'save.begin' crash {} probability: 0", malformed},
      {"point: 'save.begin' crash {} probability: 1.001", malformed},
      {"point: 'save.begin' crash {} probability: -1", malformed},
      {"point: 'save.begin' crash {} probability: nan", malformed},
      {"point: 'frame.allocate' delay_ms: 1", malformed},
      {"point: 'guest-page.allocate' domain: 'web' error {}", malformed},
      {"point: 'address-space.reserve' error { code: 'ABORTED' }", malformed},
      {"point: 'save.begin' crash {} domain: '" + std::string(256, 'x') + "'",
       "ARGUMENT_TOO_LARGE"}};
  for (const Refusal& refusal : refusals) {
    EXPECT_EQ(Add(refusal.rule), "INVALID_ARGUMENT " + refusal.reason)
        << refusal.rule;
  }
  EXPECT_EQ(Call(*faults_stub_, &Faults::AddFault, {}),
            "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(List().faults_size(), 0);
}

TEST_F(ServerFaultApiTest, RemovalNamesRulesOrAll) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(Add("point: 'save.begin' crash {}"), "OK");
  }
  v1::RemoveFaultsRequest request;
  EXPECT_EQ(Call(*faults_stub_, &Faults::RemoveFaults, request),
            "INVALID_ARGUMENT ARGUMENT_MISSING");
  request.add_ids(2);
  v1::RemoveFaultsResponse response;
  EXPECT_EQ(Call(*faults_stub_, &Faults::RemoveFaults, request, &response),
            "OK");
  EXPECT_EQ(response.removed(), 1u);
  EXPECT_EQ(Call(*faults_stub_, &Faults::RemoveFaults, request),
            "NOT_FOUND FAULT_RULE_NOT_FOUND");
  request.set_all(true);
  EXPECT_EQ(Call(*faults_stub_, &Faults::RemoveFaults, request),
            "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  EXPECT_EQ(List().faults_size(), 2);
  EXPECT_EQ(RemoveAll(), "OK");
  EXPECT_EQ(List().faults_size(), 0);
}

TEST_F(ServerFaultApiTest, CreateThatFailsLeavesNothing) {
  const uint64_t free = FreePages();
  for (const char* point : {"create.begin", "create.built"}) {
    FailOnce(point);
    EXPECT_EQ(Create(Wanted("web", kFaultPages)), kInjected) << point;
    EXPECT_EQ(Get("web"), "NOT_FOUND DOMAIN_NOT_FOUND") << point;
    EXPECT_EQ(FreePages(), free) << point;
    EXPECT_EQ(AuditFindings(), "") << point;
  }
  EXPECT_EQ(Create(Wanted("web", kFaultPages)), "OK");
}

TEST_F(ServerFaultApiTest, InjectedAllocationFailureLooksReal) {
  const uint64_t free = FreePages();
  for (const auto& [point, reason] :
       {std::pair("frame.allocate", "HOST_MEMORY_EXHAUSTED"),
        std::pair("guest-page.allocate", "GUEST_MEMORY_EXHAUSTED"),
        std::pair("address-space.reserve", "HOST_ADDRESS_SPACE_EXHAUSTED")}) {
    ASSERT_EQ(Add(absl::StrCat("point: '", point, "' error {} count: 1")),
              "OK");
    EXPECT_EQ(Create(Wanted("web", kFaultPages)),
              absl::StrCat("RESOURCE_EXHAUSTED ", reason));
    EXPECT_EQ(FreePages(), free) << point;
    EXPECT_EQ(AuditFindings(), "") << point;
  }
  EXPECT_EQ(Create(Wanted("web", kFaultPages)), "OK");
}

TEST_F(ServerFaultApiTest, BalloonThatFailsAtItsBeginningMovesNothing) {
  ASSERT_EQ(Create(Wanted("web", kFaultPages)), "OK");
  ASSERT_EQ(Add("point: 'balloon.begin' error { code: 'UNAVAILABLE' }"), "OK");
  auto down = For<v1::BalloonDownRequest>("web");
  down.set_pages(100);
  EXPECT_EQ(Call(*memory_, &Memory::BalloonDown, down), kInjected);
  auto up = For<v1::BalloonUpRequest>("web");
  up.set_pages(1);
  EXPECT_EQ(Call(*memory_, &Memory::BalloonUp, up), kInjected);
  auto target = For<v1::SetMemoryTargetRequest>("web");
  target.set_target_pages(kFaultPages - 7);
  EXPECT_EQ(Call(*memory_, &Memory::SetMemoryTarget, target), kInjected);
  v1::Domain domain;
  ASSERT_EQ(Get("web", &domain), "OK");
  EXPECT_EQ(domain.memory().current_pages(), kFaultPages);
  EXPECT_EQ(domain.memory().target_pages(), kFaultPages);
}

TEST_F(ServerFaultApiTest, BalloonThatFailsAtItsEndHasMovedPages) {
  ASSERT_EQ(Create(Wanted("web", kFaultPages)), "OK");
  ASSERT_EQ(Add("point: 'balloon.moved' error { code: 'UNAVAILABLE' }"), "OK");
  auto down = For<v1::BalloonDownRequest>("web");
  down.set_pages(100);
  EXPECT_EQ(Call(*memory_, &Memory::BalloonDown, down), kInjected);
  EXPECT_EQ(CurrentPages("web"), kFaultPages - 100);
  auto up = For<v1::BalloonUpRequest>("web");
  up.set_pages(40);
  EXPECT_EQ(Call(*memory_, &Memory::BalloonUp, up), kInjected);
  EXPECT_EQ(CurrentPages("web"), kFaultPages - 60);
  auto target = For<v1::SetMemoryTargetRequest>("web");
  target.set_target_pages(kFaultPages - 7);
  EXPECT_EQ(Call(*memory_, &Memory::SetMemoryTarget, target), kInjected);
  EXPECT_EQ(CurrentPages("web"), kFaultPages - 7);
}

TEST_F(ServerFaultApiTest, GuestResumesWhereverItsSaveFails) {
  ASSERT_EQ(Create(Wanted("web", kFaultPages)), "OK");
  Fill("web");
  struct Place {
    std::string point;
    int skip;
  };
  std::string image;
  for (const Place& place : {Place{"save.begin", 0}, Place{"save.suspended", 0},
                             Place{"save.piece", 0}, Place{"save.piece", 1},
                             Place{"save.stored", 0}}) {
    const uint64_t free = FreePages();
    FailOnce(place.point, place.skip);
    EXPECT_EQ(Save("web", &image), kInjected) << place.point << place.skip;
    v1::Domain domain;
    ASSERT_EQ(Get("web", &domain), "OK");
    EXPECT_EQ(domain.state(), v1::DOMAIN_STATE_RUNNING) << place.point;
    EXPECT_EQ(FreePages(), free) << place.point;
    EXPECT_EQ(AuditFindings(), "") << place.point;
  }
  ExpectAllActedOnce();
  EXPECT_EQ(Save("web", &image), "OK");
  EXPECT_EQ(Get("web"), "NOT_FOUND DOMAIN_NOT_FOUND");
}

TEST_F(ServerFaultApiTest, RestoreThatFailsLeavesNothing) {
  const uint64_t free = FreePages();
  ASSERT_EQ(Create(Wanted("web", kFaultPages)), "OK");
  Fill("web");
  std::string image;
  ASSERT_EQ(Save("web", &image), "OK");
  const int pieces = static_cast<int>((image.size() + 65535) / 65536);
  ASSERT_GT(pieces, 30);
  struct Place {
    std::string point;
    int skip;
  };
  for (const Place& place :
       {Place{"restore.begin", 0}, Place{"restore.piece", 0},
        Place{"restore.piece", pieces / 2}, Place{"restore.piece", pieces - 1},
        Place{"restore.arrived", 0}}) {
    FailOnce(place.point, place.skip);
    EXPECT_EQ(Restore(image), kInjected) << place.point << place.skip;
    EXPECT_EQ(Get("web"), "NOT_FOUND DOMAIN_NOT_FOUND") << place.point;
    EXPECT_EQ(FreePages(), free) << place.point << place.skip;
    EXPECT_EQ(AuditFindings(), "") << place.point;
  }
  ExpectAllActedOnce();
  EXPECT_EQ(Restore(image), "OK");
  EXPECT_EQ(CurrentPages("web"), kFaultPages);
}

TEST_F(ServerFaultApiTest, EveryDestroyedDomainTrimsTheHeap) {
  FailOnce("create.built");
  ASSERT_EQ(Create(Wanted("web", kFaultPages)), kInjected);
  ExpectTrims(1);
  ASSERT_EQ(Create(Wanted("web", kFaultPages)), "OK");
  const auto web = For<v1::DestroyDomainRequest>("web");
  ASSERT_EQ(Call(*domains_, &Domains::DestroyDomain, web), "OK");
  ExpectTrims(2);
  std::string image;
  ASSERT_EQ(Create(Wanted("web", kFaultPages)), "OK");
  ASSERT_EQ(Save("web", &image), "OK");
  ExpectTrims(3);
  FailOnce("restore.arrived");
  ASSERT_EQ(Restore(image), kInjected);
  ExpectTrims(4);
}

TEST_F(ServerFaultApiTest, RulesCanBeRemovedWhileDelaysHoldEveryBuilder) {
  constexpr int kCalls = 40;  // more than the daemon's threads for creates
  ASSERT_EQ(Add("point: 'create.begin' delay_ms: 60000"), "OK");
  const absl::Time start = absl::Now();
  std::vector<std::thread> clients;
  for (int i = 0; i < kCalls; ++i) {
    clients.emplace_back([this, i] {
      EXPECT_EQ(Create(Wanted(absl::StrCat("web", i), kFaultPages)), "OK");
    });
  }
  // At least one per thread for creates has begun; the others wait for a
  // thread.
  while (List().faults(0).acted() < 4) std::this_thread::yield();
  EXPECT_EQ(RemoveAll(), "OK");
  for (std::thread& client : clients) client.join();
  EXPECT_LT(absl::Now() - start, absl::Seconds(50));
}

TEST_F(ServerFaultApiTest, DrainDoesNotWaitForDelays) {
  ASSERT_EQ(Add("point: 'create.begin' delay_ms: 60000"), "OK");
  std::thread client(
      [this] { EXPECT_EQ(Create(Wanted("web", kFaultPages)), "OK"); });
  while (List().faults(0).acted() == 0) std::this_thread::yield();
  const absl::Time start = absl::Now();
  daemon_->Drain(absl::Seconds(50));
  client.join();
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
  daemon_ = nullptr;
}

}  // namespace
}  // namespace simvisor::server
