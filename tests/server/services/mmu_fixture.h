// A daemon with a guest, and streams of secondary MMUs to it.

#ifndef SIMVISOR_TESTS_SERVER_SERVICES_MMU_FIXTURE_H_
#define SIMVISOR_TESTS_SERVER_SERVICES_MMU_FIXTURE_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "simvisor/v1/secondary_mmu_service.grpc.pb.h"
#include "tests/server/services/api_requests.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {

// The client's end of a Subscribe call.
class MmuStream {
 public:
  explicit MmuStream(v1::SecondaryMmuService::Stub& stub) {
    // A test that waits for ever fails.
    context_.set_deadline(std::chrono::system_clock::now() +
                          std::chrono::seconds(60));
    stream_ = stub.Subscribe(&context_);
  }
  ~MmuStream() { Break(); }

  // Sends a message, in text format.
  MmuStream& Send(const std::string& text) {
    v1::SubscribeRequest request;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request))
        << text;
    stream_->Write(request);
    return *this;
  }
  // The next message; one without a body, once the call has ended.
  v1::SubscribeResponse Read() {
    v1::SubscribeResponse response;
    if (!stream_->Read(&response)) response.Clear();
    return response;
  }
  // The same as text, without its number; "the end" once the call has ended.
  std::string Next() {
    v1::SubscribeResponse response = Read();
    if (response.message_case() == v1::SubscribeResponse::MESSAGE_NOT_SET) {
      return "the end";
    }
    last_ev_ = response.ev();
    response.clear_ev();
    std::string text = response.ShortDebugString();
    return text;
  }
  uint64_t last_ev() const { return last_ev_; }
  // Acknowledges the last event that Next() or Begin() has returned.
  void Ack() { Send(absl::StrCat("ack { ev: ", last_ev_, " }")); }
  // Reads a begin.
  v1::SubscribeResponse::RangeBegin Begin() {
    const v1::SubscribeResponse response = Read();
    EXPECT_TRUE(response.has_begin()) << response.ShortDebugString();
    last_ev_ = response.ev();
    return response.begin();
  }
  void HalfClose() { stream_->WritesDone(); }
  // How the call ended; reads what is left.
  std::string End() {
    while (Next() != "the end") {
    }
    ended_ = true;
    return Outcome(stream_->Finish());
  }
  // Ends the call without a word.
  void Break() {
    if (std::exchange(ended_, true)) return;
    context_.TryCancel();
    v1::SubscribeResponse unread;
    while (stream_->Read(&unread)) {
    }
    stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<
      grpc::ClientReaderWriter<v1::SubscribeRequest, v1::SubscribeResponse>>
      stream_;
  uint64_t last_ev_ = 0;
  bool ended_ = false;
};

class MmuApiTest : public ServerTest {
 protected:
  explicit MmuApiTest(bool fault_injection = false)
      : ServerTest(Placement::kLowest, /*memory_gib=*/8, fault_injection),
        mmus_(v1::SecondaryMmuService::NewStub(channel_)) {
    v1::Domain domain;
    EXPECT_EQ(Create(Wanted("web", kPages), &domain), "OK");
    domid_ = domain.domid();
  }

  // A message that registers "tlb" at the guest; `more` are further fields.
  std::string Registration(const std::string& more = "") const {
    return absl::StrCat("register { domain { domid: ", domid_,
                        " } name: \"tlb\" ", more, " }");
  }
  // Registers, and reads the answer.
  v1::SubscribeResponse::Registered Register(MmuStream& stream,
                                             const std::string& more = "") {
    stream.Send(Registration(more));
    const v1::SubscribeResponse response = stream.Read();
    EXPECT_TRUE(response.has_registered()) << response.ShortDebugString();
    EXPECT_EQ(response.ev(), 1u);
    return response.registered();
  }
  // How a stream ends that begins with this message.
  std::string Refused(const std::string& first) {
    MmuStream stream(*mmus_);
    return stream.Send(first).End();
  }
  std::string BalloonDown(
      uint64_t pages,
      v1::SecondaryMmuWait wait = v1::SECONDARY_MMU_WAIT_UNSPECIFIED) {
    auto request = For<v1::BalloonDownRequest>(domid_);
    request.set_pages(pages);
    request.set_secondary_mmus(wait);
    return Call(*memory_, &v1::MemoryService::Stub::BalloonDown, request);
  }
  v1::Domain Get() {
    v1::GetDomainResponse response;
    EXPECT_EQ(Call(*domains_, &v1::DomainService::Stub::GetDomain,
                   For<v1::GetDomainRequest>(domid_), &response),
              "OK");
    return response.domain();
  }
  v1::ListSecondaryMmusResponse List(
      const v1::ListSecondaryMmusRequest& request = {}) {
    v1::ListSecondaryMmusResponse response;
    EXPECT_EQ(Call(*mmus_, &v1::SecondaryMmuService::Stub::ListSecondaryMmus,
                   request, &response),
              "OK");
    return response;
  }
  std::string Fence(uint64_t subscription) {
    v1::FenceSecondaryMmuRequest request;
    request.set_subscription(subscription);
    return Call(*mmus_, &v1::SecondaryMmuService::Stub::FenceSecondaryMmu,
                request);
  }

  uint32_t domid_ = 0;
  std::unique_ptr<v1::SecondaryMmuService::Stub> mmus_;
};

// A call that is under way on a thread of its own.
class UnderWay {
 public:
  explicit UnderWay(std::function<std::string()> call)
      : thread_([this, call = std::move(call)] { outcome_ = call(); }) {}
  ~UnderWay() {
    if (thread_.joinable()) thread_.join();
  }
  std::string Outcome() {
    thread_.join();
    return outcome_;
  }

 private:
  std::string outcome_;
  std::thread thread_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_SERVER_SERVICES_MMU_FIXTURE_H_
