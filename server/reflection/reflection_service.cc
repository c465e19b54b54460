#include "server/reflection/reflection_service.h"

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/calls/call_limits.h"
#include "server/calls/idle_calls.h"
#include "server/calls/open_stream.h"
#include "server/calls/raw_message.h"
#include "server/calls/rpc_status.h"
#include "server/reflection/describe_protos.h"

namespace simvisor::server {
namespace {

namespace reflection = grpc::reflection::v1alpha;

constexpr char kMethod[] = "ServerReflectionInfo";

// One stream: a request is read, answered on the pool, and the answer written
// before the next is read.  So at any moment one of these is in progress, or
// the call is finished, and members need no lock.
class ReflectionCall : public RawBidiReactor {
 public:
  using Reactor = RawBidiReactor;

  ReflectionCall(CallRunner* runner, grpc::CallbackServerContext* context,
                 absl::Span<const std::string> services)
      : runner_(runner),
        limits_(context),
        services_(services),
        idle_(context) {}

  void Start() { Read(); }

  void OnReadDone(bool ok) override {
    runner_->idle_calls.Remove(&idle_);
    // The client has half-closed, or the call is over.
    if (!ok) return End(limits_());
    runner_->pool.Submit([this] { Answer(); });
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return End(limits_());
    Read();
  }
  void OnDone() override { delete this; }

 private:
  void Read() {
    runner_->idle_calls.Add(&idle_);
    StartRead(&read_);
  }

  void Answer() {
    absl::Status status = limits_();
    if (status.ok()) status = request_.Take(runner_->messages, kMethod, read_);
    if (!status.ok()) return End(status);
    reflection::ServerReflectionResponse response;
    DescribeProtos(services_, *request_, &response);
    request_.Clear();
    status = WriteMessage(runner_->messages, kMethod, response, write_);
    if (!status.ok()) return End(status);
    StartWrite(&write_);
  }

  // The object may be deleted by the time this returns.
  void End(const absl::Status& status) { Finish(ToGrpcStatus(status)); }

  CallRunner* const runner_;
  const CallLimits limits_;
  const absl::Span<const std::string> services_;
  IdleCalls::Entry idle_;
  grpc::ByteBuffer read_;
  TakenMessage<reflection::ServerReflectionRequest> request_;
  grpc::ByteBuffer write_;
};

}  // namespace

RawBidiReactor* ReflectionServiceImpl::ServerReflectionInfo(
    grpc::CallbackServerContext* context) {
  return OpenStream<ReflectionCall>(runner_, kMethod, runner_, context,
                                    absl::MakeConstSpan(services_));
}

}  // namespace simvisor::server
