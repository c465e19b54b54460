// Streams empty messages of 1 MiB between two processes: gRPC's own share of
// the time of a migration.
//
//   stream_floor serve ADDRESS          prints a line when it is ready
//   stream_floor send ADDRESS MESSAGES  prints the seconds that it took
//
// The messages are those of ReceiveDomain, sent and received as the daemons do
// it: a blocking thread writes them, reusing one message, and callbacks read
// them.

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <malloc.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "simvisor/v1/migration_service.grpc.pb.h"

namespace simvisor::bench {
namespace {

constexpr size_t kMessageBytes = size_t{1} << 20;
constexpr int kMaxMessageBytes = 4 << 20;

// Reads everything that comes and answers nothing.
class Reader final : public grpc::ServerBidiReactor<v1::ReceiveDomainRequest,
                                                    v1::ReceiveDomainResponse> {
 public:
  Reader() { StartRead(&request_); }

  void OnReadDone(bool ok) override {
    if (ok) {
      StartRead(&request_);
    } else {
      Finish(grpc::Status::OK);
    }
  }
  void OnDone() override { delete this; }

 private:
  v1::ReceiveDomainRequest request_;
};

class Floor final : public v1::MigrationService::CallbackService {
 public:
  grpc::ServerBidiReactor<v1::ReceiveDomainRequest, v1::ReceiveDomainResponse>*
  ReceiveDomain(grpc::CallbackServerContext*) override {
    return new Reader();
  }
};

int Serve(const std::string& address) {
  Floor floor;
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.RegisterService(&floor);
  int port = 0;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    std::fprintf(stderr, "stream_floor: cannot serve at %s\n", address.c_str());
    return 1;
  }
  std::printf("ready %d\n", port);
  std::fflush(stdout);
  server->Wait();
  return 0;
}

int Send(const std::string& address, uint64_t messages) {
  const auto stub = v1::MigrationService::NewStub(
      grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  const auto stream = stub->ReceiveDomain(&context);
  v1::ReceiveDomainRequest request;
  request.set_data(std::string(kMessageBytes, 'x'));
  const auto begin = std::chrono::steady_clock::now();
  for (; messages > 0 && stream->Write(request); --messages) {
  }
  stream->WritesDone();
  const grpc::Status status = stream->Finish();
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - begin;
  if (!status.ok()) {
    std::fprintf(stderr, "stream_floor: %s\n", status.error_message().c_str());
    return 1;
  }
  std::printf("%.6f\n", took.count());
  return 0;
}

int Main(int argc, char** argv) {
  // Keeps the heap as simvisord does.
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
  mallopt(M_TOP_PAD, 16 << 20);
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "serve" && argc == 3) return Serve(argv[2]);
  uint64_t messages = 0;
  if (verb == "send" && argc == 4 && absl::SimpleAtoi(argv[3], &messages)) {
    return Send(argv[2], messages);
  }
  std::fprintf(stderr,
               "usage: stream_floor serve ADDRESS | send ADDRESS MESSAGES\n");
  return 2;
}

}  // namespace
}  // namespace simvisor::bench

int main(int argc, char** argv) { return simvisor::bench::Main(argc, argv); }
