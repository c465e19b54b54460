// How a server-streaming method runs: chunk by chunk on the worker pool.
//
// A stream is a producer that fills one response after the other.  At any
// moment exactly one of these holds: a job of the stream is queued or runs on
// the pool, a write is in flight, or the stream is finished.  Each leads to the
// next, so the members need no lock, the one response buffer is never written
// while gRPC reads it, and Finish() is called once.  A client that stops
// reading costs that buffer and no thread; one that vanishes fails the write in
// flight, or is seen by the check before the next chunk.
//
// Thread safety: as argued above; StartStream() may be called from any thread.

#ifndef SIMVISOR_SERVER_STREAM_CALL_H_
#define SIMVISOR_SERVER_STREAM_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/call_limits.h"
#include "server/call_record.h"
#include "server/call_runner.h"
#include "server/progress.h"
#include "server/rpc_status.h"

namespace simvisor::server {

// Fills an empty response.  Called on the pool, never twice at once.
template <typename Response>
using Producer = absl::AnyInvocable<absl::StatusOr<Progress>(Response*)>;

template <typename Response>
class StreamCall final : public grpc::ServerWriteReactor<Response> {
 public:
  StreamCall(CallRunner* runner, const grpc::CallbackServerContext* context,
             const char* method, Producer<Response> producer)
      : runner_(runner),
        limits_(context),
        record_(&runner->calls, method),
        producer_(std::move(producer)) {}

  void Start() { ProduceOnPool(); }

  void OnWriteDone(bool ok) override {
    if (ok) {
      ProduceOnPool();
    } else {
      // The stream is broken: cancelled, out of time, or the client is gone.
      absl::Status status = limits_();
      End(status.ok() ? StopStatus(true, WallTime::min(), WallTime::max())
                      : status);
    }
  }

  void OnDone() override { delete this; }

 private:
  void ProduceOnPool() {
    runner_->pool.Submit([this] { Produce(); });
  }

  void Produce() {
    absl::Status status = limits_();
    if (!status.ok()) return End(status);
    chunk_.Clear();
    const absl::StatusOr<Progress> progress = producer_(&chunk_);
    if (!progress.ok()) return End(progress.status());
    if (*progress == Progress::kMore) {
      this->StartWrite(&chunk_);
    } else {
      record_.LogOutcome(absl::OkStatus());
      this->StartWriteAndFinish(&chunk_, grpc::WriteOptions(),
                                grpc::Status::OK);
    }
  }

  // The object may be gone when this returns.
  void End(const absl::Status& status) {
    record_.LogOutcome(status);
    this->Finish(ToGrpcStatus(status));
  }

  CallRunner* const runner_;
  const CallLimits limits_;
  const CallRecord record_;
  Producer<Response> producer_;
  Response chunk_;
};

// Streams what a source fills, or fails with a status of the source's.  `make`
// returns an absl::StatusOr<Source>; it is called on the pool, before the first
// chunk, and may use the request.
template <typename Response, typename Make>
grpc::ServerWriteReactor<Response>* StartStream(
    CallRunner* runner, const grpc::CallbackServerContext* context,
    const char* method, Make make) {
  using MaybeSource = decltype(make());
  auto produce = [make = std::move(make),
                  source = std::optional<MaybeSource>(std::nullopt)](
                     Response* chunk) mutable -> absl::StatusOr<Progress> {
    if (!source.has_value()) source.emplace(make());
    if (!source->ok()) return source->status();
    return (*source)->Next(chunk);
  };
  auto* const call =
      new StreamCall<Response>(runner, context, method, std::move(produce));
  call->Start();
  return call;
}

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_STREAM_CALL_H_
