#include "bench/rpc/ops_stream.h"

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/async_stream.h>

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "bench/rpc/stop_signals.h"
#include "client/api/error.h"
#include "simvisor/v1/memory_service.grpc.pb.h"

namespace simvisor::bench {
namespace {

// The most messages that are not yet fully answered.
constexpr uint64_t kWindow = 8;
// A missing answer must not block the bench forever.
constexpr auto kLimit = std::chrono::seconds(60);

class OpsStream {
 public:
  OpsStream(const OpsLoad& load, const std::shared_ptr<grpc::Channel>& channel)
      : load_(load), stub_(channel) {}
  OpsStream(const OpsStream&) = delete;
  OpsStream& operator=(const OpsStream&) = delete;
  ~OpsStream() {
    context_.TryCancel();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  absl::StatusOr<double> Run() {
    context_.set_deadline(std::chrono::system_clock::now() + kLimit);
    stream_ = stub_.AsyncStreamMemoryOps(&context_, &queue_, Tag(kOpen));
    SIMVISOR_RETURN_IF_ERROR(Await());
    const auto began = std::chrono::steady_clock::now();
    stream_->Read(&response_, Tag(kRead));
    while (answered_ < load_.messages * Units()) {
      SIMVISOR_RETURN_IF_ERROR(StopCheck());
      WriteNext();
      SIMVISOR_RETURN_IF_ERROR(Await());
    }
    const std::chrono::duration<double> took =
        std::chrono::steady_clock::now() - began;
    return static_cast<double>(load_.messages) / took.count();
  }

 private:
  enum Event : intptr_t { kOpen = 1, kRead, kWrite, kFinish };

  static void* Tag(Event event) {
    return reinterpret_cast<void*>(static_cast<intptr_t>(event));
  }

  // How much a message counts; an empty message is answered by one response.
  uint64_t Units() const { return std::max<uint64_t>(load_.batch, 1); }

  void WriteNext() {
    if (writing_ || written_ == load_.messages) return;
    if (written_ * Units() - answered_ > (kWindow - 1) * Units()) return;
    if (load_.batch > 0) load_.fill(written_, request_);
    ++written_;
    writing_ = true;
    stream_->Write(request_, Tag(kWrite));
  }

  // Waits for the next event and handles it.
  absl::Status Await() {
    void* tag = nullptr;
    bool ok = false;
    queue_.Next(&tag, &ok);
    if (!ok) return Broken();
    if (tag == Tag(kWrite)) writing_ = false;
    if (tag != Tag(kRead)) return absl::OkStatus();
    for (const v1::MemoryOpResult& result : response_.results()) {
      SIMVISOR_RETURN_IF_ERROR(Take(result));
    }
    answered_ += std::max(response_.results_size(), 1);
    stream_->Read(&response_, Tag(kRead));
    return absl::OkStatus();
  }

  absl::Status Take(const v1::MemoryOpResult& result) const {
    if (!result.has_error()) return load_.take(result);
    return absl::InternalError(absl::StrCat(
        "StreamMemoryOps, operation ", result.id(), ": ", result.error().code(),
        " ", result.error().reason(), ": ", result.error().message()));
  }

  // The stream has ended early; returns the reason.
  absl::Status Broken() {
    grpc::Status status;
    stream_->Finish(&status, Tag(kFinish));
    void* tag = nullptr;
    bool ok = false;
    while (tag != Tag(kFinish) && queue_.Next(&tag, &ok)) {
    }
    if (!status.ok()) return client::FromGrpc(status, "simvisord");
    return absl::InternalError("StreamMemoryOps ended before its operations");
  }

  const OpsLoad& load_;
  v1::MemoryService::Stub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<v1::StreamMemoryOpsRequest,
                                                v1::StreamMemoryOpsResponse>>
      stream_;
  v1::StreamMemoryOpsRequest request_;
  v1::StreamMemoryOpsResponse response_;
  bool writing_ = false;
  uint64_t written_ = 0;   // messages
  uint64_t answered_ = 0;  // units
};

}  // namespace

absl::StatusOr<double> RunOps(const std::shared_ptr<grpc::Channel>& channel,
                              const OpsLoad& load) {
  return OpsStream(load, channel).Run();
}

}  // namespace simvisor::bench
