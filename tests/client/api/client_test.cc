// The typed client against fakes of two services.

#include "client/api/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "simvisor/v1/memory_service.grpc.pb.h"
#include "simvisor/v1/migration_service.grpc.pb.h"
#include "simvisor/v1/secondary_mmu_service.pb.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FakeMemory : public v1::MemoryService::Service {
 public:
  grpc::Status GetP2mSummary(grpc::ServerContext*,
                             const v1::GetP2mSummaryRequest*,
                             v1::GetP2mSummaryResponse* response) override {
    ++calls;
    response->mutable_summary()->set_p2m_size(4096);
    return outcome;
  }

  grpc::Status TranslatePfns(grpc::ServerContext*,
                             const v1::TranslatePfnsRequest*,
                             v1::TranslatePfnsResponse* response) override {
    for (int i = 0; i < classes; ++i) {
      response->add_classes(v1::P2M_CLASS_RAM);
      response->add_frames(0x1000);
    }
    return grpc::Status::OK;
  }

  grpc::Status ListP2mRuns(
      grpc::ServerContext*, const v1::ListP2mRunsRequest*,
      grpc::ServerWriter<v1::ListP2mRunsResponse>* writer) override {
    for (const uint64_t pfn : {0, 256, 512}) {
      v1::ListP2mRunsResponse response;
      response.add_runs()->set_first_pfn(pfn);
      if (!writer->Write(response)) return grpc::Status::CANCELLED;
    }
    return grpc::Status::OK;
  }

  grpc::Status TranslateMfns(grpc::ServerContext* context,
                             const v1::TranslateMfnsRequest*,
                             v1::TranslateMfnsResponse*) override {
    // A server sees the end of a call only when it looks.
    while (!context->IsCancelled()) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    return grpc::Status::OK;
  }

  int calls = 0;
  int classes = 0;
  grpc::Status outcome;
};

class FakeMigrations : public v1::MigrationService::Service {
 public:
  grpc::Status SaveDomain(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::SaveDomainResponse, v1::SaveDomainRequest>*
          stream) override {
    v1::SaveDomainRequest request;
    stream->Read(&request);
    v1::SaveDomainResponse piece;
    piece.set_data("image");
    piece.set_last(true);
    stream->Write(piece);
    stored = stream->Read(&request) && request.has_stored();
    return grpc::Status::OK;
  }

  grpc::Status ListMigrations(grpc::ServerContext*,
                              const v1::ListMigrationsRequest* request,
                              v1::ListMigrationsResponse* response) override {
    const bool first = request->page_token().empty();
    response->add_migrations()->set_migration_id(first ? "one" : "two");
    if (first) response->set_next_page_token("more");
    return grpc::Status::OK;
  }

  bool stored = false;
};

class ClientTest : public ::testing::Test {
 protected:
  ClientTest() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
    builder.RegisterService(&memory_);
    builder.RegisterService(&migrations_);
    server_ = builder.BuildAndStart();
    Client::Options options;
    options.on_response = [this](google::protobuf::Message& response) {
      hooked_.push_back(response.GetDescriptor()->name());
    };
    client_ = *Client::Create(address_, options);
  }

  ScopedFolder folder_;
  const std::string address_ = "unix:" + folder_ / "fake.sock";
  FakeMemory memory_;
  FakeMigrations migrations_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Client> client_;
  std::vector<std::string> hooked_;
};

TEST_F(ClientTest, TypeOfTheRequestSelectsTheMethod) {
  const auto response = client_->Call(v1::GetP2mSummaryRequest());
  static_assert(
      std::is_same_v<decltype(response),
                     const absl::StatusOr<v1::GetP2mSummaryResponse>>);
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->summary().p2m_size(), 4096u);
  EXPECT_THAT(hooked_, ElementsAre("GetP2mSummaryResponse"));
}

TEST_F(ClientTest, RefusedCallReturnsTheDaemonsError) {
  memory_.outcome = {grpc::StatusCode::NOT_FOUND, "no such domain"};
  const auto response = client_->Call(v1::GetP2mSummaryRequest());
  EXPECT_TRUE(absl::IsNotFound(response.status()));
  EXPECT_EQ(response.status().message(), "no such domain");
  EXPECT_TRUE(hooked_.empty());
}

TEST_F(ClientTest, TextThatIsNotUtf8IsRefusedWithoutACall) {
  v1::GetP2mSummaryRequest request;
  request.mutable_domain()->set_name("\xff");
  EXPECT_TRUE(absl::IsInvalidArgument(client_->Call(request).status()));
  EXPECT_EQ(memory_.calls, 0);
}

TEST_F(ClientTest, AnswerMustHaveAnEntryForEachNumberAsked) {
  v1::TranslatePfnsRequest request;
  request.add_pfns(1);
  request.add_pfns(2);
  memory_.classes = 2;
  EXPECT_TRUE(client_->Call(request).ok());
  for (const int classes : {1, 3}) {
    memory_.classes = classes;
    const absl::Status status = client_->Call(request).status();
    EXPECT_TRUE(absl::IsInternal(status));
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("TranslatePfnsResponse"), HasSubstr("of 2")));
  }
}

TEST_F(ClientTest, SinkThatFailsEndsTheStream) {
  std::vector<uint64_t> pfns;
  const absl::Status status = client_->ListP2mRuns(
      v1::ListP2mRunsRequest(), [&](const v1::ListP2mRunsResponse& response) {
        pfns.push_back(response.runs(0).first_pfn());
        return pfns.size() < 2 ? absl::OkStatus()
                               : absl::DataLossError("no room");
      });
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(pfns, ElementsAre(0, 256));
  EXPECT_THAT(hooked_,
              ElementsAre("ListP2mRunsResponse", "ListP2mRunsResponse"));
}

TEST_F(ClientTest, PiecesOfAnImageAreNotHooked) {
  std::string image;
  const absl::Status status = client_->SaveDomain(
      v1::SaveDomainRequest::Start(), [&](const v1::SaveDomainResponse& piece) {
        image += piece.data();
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(image, "image");
  EXPECT_TRUE(migrations_.stored);
  EXPECT_TRUE(hooked_.empty());
}

TEST_F(ClientTest, CallByDescriptorMergesResponsesWithoutHook) {
  v1::ListP2mRunsResponse all;
  const auto* service =
      v1::ListP2mRunsRequest::descriptor()->file()->FindServiceByName(
          "MemoryService");
  ASSERT_NE(service, nullptr);
  EXPECT_TRUE(client_
                  ->CallMethod(*service->FindMethodByName("ListP2mRuns"),
                               v1::ListP2mRunsRequest(), all, {})
                  .ok());
  EXPECT_EQ(all.runs_size(), 3);
  EXPECT_TRUE(hooked_.empty());
}

class ClientLimitsTest : public ClientTest {
 protected:
  // Calls a method whose answer comes only once the client gave up.
  absl::Status CallWithoutAnswer(const CallLimits& limits) {
    const auto* method = v1::TranslateMfnsRequest::descriptor()
                             ->file()
                             ->FindServiceByName("MemoryService")
                             ->FindMethodByName("TranslateMfns");
    v1::TranslateMfnsResponse response;
    return client_->CallMethod(*method, v1::TranslateMfnsRequest(), response,
                               limits);
  }
};

TEST_F(ClientLimitsTest, CallEndsAfterItsTimeout) {
  EXPECT_EQ(CallWithoutAnswer({.timeout = absl::Milliseconds(20)}).code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ClientLimitsTest, CallEndsOnceItMust) {
  int asked = 0;
  EXPECT_EQ(
      CallWithoutAnswer({.must_end = [&] { return ++asked == 2; }}).code(),
      absl::StatusCode::kCancelled);
  EXPECT_GE(asked, 2);
}

TEST_F(ClientTest, ListAllFollowsThePages) {
  const auto all = client_->ListAllMigrations();
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->migrations_size(), 2);
  EXPECT_EQ(all->migrations(1).migration_id(), "two");
  EXPECT_TRUE(all->next_page_token().empty());
}

TEST(UnaryMethodsTest, TableHasEveryUnaryMethod) {
  std::set<std::string> listed;
#define SIMVISOR_INSERT(service, name) \
  listed.insert("simvisor.v1." #service "." #name);
  SIMVISOR_UNARY_METHODS(SIMVISOR_INSERT)
#undef SIMVISOR_INSERT
  std::set<std::string> unary;
  for (const auto* file :
       {v1::AddressSpace::descriptor()->file(),
        v1::Domain::descriptor()->file(), v1::Fault::descriptor()->file(),
        v1::GuestLoad::descriptor()->file(), v1::Host::descriptor()->file(),
        v1::GetP2mSummaryRequest::descriptor()->file(),
        v1::SaveDomainRequest::descriptor()->file(),
        v1::SubscribeRequest::descriptor()->file()}) {
    ASSERT_EQ(file->service_count(), 1) << file->name();
    const auto* const service = file->service(0);
    for (int i = 0; i < service->method_count(); ++i) {
      const auto* const method = service->method(i);
      if (method->client_streaming() || method->server_streaming()) continue;
      unary.insert(method->full_name());
    }
  }
  EXPECT_EQ(listed, unary);
}

}  // namespace
}  // namespace simvisor::client
