#include "tests/client/verbs/fake_daemon.h"

#include <gtest/gtest.h>

#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/text_format.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/server_builder.h"
#include "grpcpp/support/slice.h"

namespace simvisor::client {
namespace {

std::unique_ptr<google::protobuf::Message> NewMessage(
    const google::protobuf::Descriptor* type) {
  auto* const factory = google::protobuf::MessageFactory::generated_factory();
  return std::unique_ptr<google::protobuf::Message>(
      factory->GetPrototype(type)->New());
}

std::string Bytes(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

std::string OneLine(const google::protobuf::Message& message) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string text;
  printer.PrintToString(message, &text);
  return std::string(absl::StripSuffix(text, " "));
}

grpc::Status StatusWith(grpc::StatusCode code, const std::string& reason,
                        const std::string& message,
                        const std::string& field = "") {
  if (reason.empty()) return {code, message};
  google::rpc::ErrorInfo info;
  info.set_domain("simvisor");
  info.set_reason(reason);
  if (!field.empty()) (*info.mutable_metadata())["field"] = field;
  google::rpc::Status details;
  details.add_details()->PackFrom(info);
  return {code, message, details.SerializeAsString()};
}

}  // namespace

// Answers each request as it arrives, and ends after the client's last request,
// or when the client cancels a call that is ignored.
class FakeDaemon::Call : public grpc::ServerGenericBidiReactor {
 public:
  Call(FakeDaemon& daemon, std::string path)
      : daemon_(daemon), path_(std::move(path)) {
    StartRead(&in_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    if (daemon_.Ignores(path_)) return EndIfIgnoredAndCancelled();
    status_ = daemon_.Take(path_, in_, out_);
    Next();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish({grpc::StatusCode::CANCELLED, "the client is gone"});
    out_.pop_front();
    Next();
  }

  void OnCancel() override { EndIfIgnoredAndCancelled(); }

  void OnDone() override { delete this; }

 private:
  // Called for each of the two, in any order.
  void EndIfIgnoredAndCancelled() {
    if (++ends_ == 2) Finish(grpc::Status::CANCELLED);
  }

  void Next() {
    if (!out_.empty()) return StartWrite(&out_.front());
    if (!status_.ok()) return Finish(status_);
    StartRead(&in_);
  }

  FakeDaemon& daemon_;
  const std::string path_;
  grpc::ByteBuffer in_;
  std::deque<grpc::ByteBuffer> out_;
  grpc::Status status_;
  std::atomic<int> ends_ = 0;
};

FakeDaemon::FakeDaemon(const std::string& address) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterCallbackGenericService(this);
  server_ = builder.BuildAndStart();
}

FakeDaemon::~FakeDaemon() { server_->Shutdown(); }

void FakeDaemon::Answer(const std::string& method,
                        std::vector<std::string> responses) {
  Add(method, {std::move(responses), grpc::Status::OK});
}

void FakeDaemon::Refuse(const std::string& method, grpc::StatusCode code,
                        const std::string& reason, const std::string& message,
                        std::vector<std::string> responses) {
  Add(method, {std::move(responses), StatusWith(code, reason, message)});
}

void FakeDaemon::Add(const std::string& method, Reply reply) {
  absl::MutexLock lock(&mu_);
  replies_[method].push_back(std::move(reply));
}

void FakeDaemon::RefuseField(const std::string& method,
                             const std::string& field,
                             const std::string& problem) {
  Add(method,
      {{},
       StatusWith(grpc::StatusCode::INVALID_ARGUMENT, "ARGUMENT_MALFORMED",
                  absl::StrCat(field, ": ", problem), field)});
}

void FakeDaemon::Ignore(const std::string& method) {
  absl::MutexLock lock(&mu_);
  ignored_.insert(method);
}

bool FakeDaemon::Ignores(absl::string_view path) {
  absl::MutexLock lock(&mu_);
  return ignored_.contains(std::string(path.substr(path.rfind('/') + 1)));
}

void FakeDaemon::Forget(const std::string& method) {
  absl::MutexLock lock(&mu_);
  replies_.erase(method);
}

std::vector<std::string> FakeDaemon::TakeRequests() {
  absl::MutexLock lock(&mu_);
  return std::exchange(requests_, {});
}

grpc::ServerGenericBidiReactor* FakeDaemon::CreateReactor(
    grpc::GenericCallbackServerContext* context) {
  return new Call(*this, context->method());
}

grpc::Status FakeDaemon::Take(const std::string& path,
                              const grpc::ByteBuffer& request,
                              std::deque<grpc::ByteBuffer>& responses) {
  const auto* const method =
      google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
          absl::StrReplaceAll(absl::StripPrefix(path, "/"), {{"/", "."}}));
  if (method == nullptr) return {grpc::StatusCode::UNIMPLEMENTED, path};
  const auto asked = NewMessage(method->input_type());
  EXPECT_TRUE(asked->ParseFromString(Bytes(request))) << path;
  absl::MutexLock lock(&mu_);
  const std::string text = OneLine(*asked);
  requests_.push_back(
      absl::StrCat(method->name(), text.empty() ? "" : " ", text));
  const auto found = replies_.find(method->name());
  if (found == replies_.end()) {
    return {grpc::StatusCode::UNIMPLEMENTED, "no such method"};
  }
  std::deque<Reply>& replies = found->second;
  for (const std::string& response : replies.front().responses) {
    const auto answer = NewMessage(method->output_type());
    EXPECT_TRUE(
        google::protobuf::TextFormat::ParseFromString(response, answer.get()))
        << response;
    const grpc::Slice slice(answer->SerializeAsString());
    responses.emplace_back(&slice, 1);
  }
  const grpc::Status status = replies.front().status;
  if (replies.size() > 1) replies.pop_front();
  return status;
}

}  // namespace simvisor::client
