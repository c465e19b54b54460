// Runs a server-streaming method: chunk by chunk on the threads of the worker
// pool that streams may use, or, while its domain is busy, in that domain's
// lane (job_scope.h).
//
// A stream has a source that fills one response after another.  At any moment
// exactly one of these holds: a job of the stream is queued or runs on the
// pool, a write is in flight, or the stream is finished.  Each leads to the
// next, so the members need no lock, the chunk is never written while gRPC
// reads it, and Finish() is called once.  A client that stops reading costs the
// bytes of that chunk, which are charged to the message budget, and no thread.
// If a client vanishes, the write in flight fails, or the check before the next
// chunk notices it.  A client that does not take a chunk within the stall
// timeout loses the call (StallWatch), and sooner if others need the room
// (unsent_answers.h).
//
// Thread safety: as argued above; StartStream() may be called from any thread.

#ifndef SIMVISOR_SERVER_CALLS_STREAM_CALL_H_
#define SIMVISOR_SERVER_CALLS_STREAM_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "google/protobuf/arena.h"
#include "server/calls/call_limits.h"
#include "server/calls/call_runner.h"
#include "server/calls/message_budget.h"
#include "server/calls/open_calls.h"
#include "server/calls/open_stream.h"
#include "server/calls/progress.h"
#include "server/calls/raw_message.h"
#include "server/calls/raw_service.h"
#include "server/calls/stall_timer.h"
#include "server/calls/stream_reactor.h"
#include "server/calls/unsent_answers.h"
#include "server/machine/memory_reserve.h"
#include "server/threads/job_queue.h"
#include "server/threads/job_scope.h"

namespace simvisor::server {
namespace stream_internal {

template <typename Function>
struct MakeTypes;
template <typename Make, typename Req, typename Src>
struct MakeTypes<absl::StatusOr<Src> (Make::*)(const Req&) const> {
  using Request = Req;
  using Source = Src;
};

template <typename Function>
struct NextTypes;
template <typename Source, typename Res>
struct NextTypes<absl::StatusOr<Progress> (Source::*)(Res*)> {
  using Response = Res;
};

}  // namespace stream_internal

template <typename Make>
class StreamCall final : public StreamReactor<RawWriteReactor> {
 public:
  using Types = stream_internal::MakeTypes<decltype(&Make::operator())>;
  using Request = typename Types::Request;
  using Source = typename Types::Source;
  using Response =
      typename stream_internal::NextTypes<decltype(&Source::Next)>::Response;

  StreamCall(CallRunner* runner, grpc::CallbackServerContext* context,
             const char* method, Make make)
      : StreamReactor(runner, &runner->pool, &runner->calls, context, method),
        unsent_(context),
        make_(std::move(make)) {}

  // Parses the request, clears its bytes, and starts the stream.
  void Start(const grpc::ByteBuffer* request) {
    const absl::Status status =
        // As for unary methods.
        WithinMemory(record_.method(), [&] {
          return Accept(const_cast<grpc::ByteBuffer&>(*request));
        });
    if (!status.ok()) return End(status);
    ProduceOnPool();
  }

  void OnWriteDone(bool ok) override {
    unsent_.Remove();
    if (!watch_.Done()) return;
    watch_.Moved();
    if (ok && last_) {
      End(absl::OkStatus());
    } else if (ok) {
      ProduceOnPool();
    } else {
      // The stream is broken: cancelled, out of time, or the client is gone.
      absl::Status status = limits_();
      End(status.ok() ? StopStatus(true, WallTime::min(), WallTime::max())
                      : status);
    }
  }

 private:
  // A last chunk up to this size is sent together with the status, which saves
  // a step for short answers: it gets out whether or not the client reads,
  // since HTTP/2 allows 64 KiB in flight.
  static constexpr size_t kUnwatchedBytes = size_t{32} << 10;

  // Small answers take one block; those of thousands of parts, a few.
  static google::protobuf::ArenaOptions ResponseArenaOptions() {
    google::protobuf::ArenaOptions options;
    options.start_block_size = size_t{8} << 10;
    options.max_block_size = size_t{256} << 10;
    return options;
  }

  absl::Status Accept(grpc::ByteBuffer& request) {
    SIMVISOR_ASSIGN_OR_RETURN(place_, EnterStream(*runner_, record_.method()));
    return request_.Take(runner_->messages, record_.method(), request);
  }

  void ProduceOnPool() {
    runner_->streams.Submit([this] { Produce(Place::kShort); });
  }

  void Produce(Place place) {
    absl::StatusOr<Progress> progress = Progress::kLast;
    std::optional<Detour> detour;
    {
      JobScope scope(&runner_->lanes, place);
      progress = WithinMemory(record_.method(), [this] { return FillChunk(); });
      if (!progress.ok()) detour = scope.detour();
    }
    if (detour.has_value()) return GoTo(*detour);
    if (!progress.ok()) return End(progress.status());
    last_ = *progress != Progress::kMore;
    runner_->messages.unsent().Add(&unsent_, chunk_.Length());
    if (last_ && chunk_.Length() <= kUnwatchedBytes) {
      record_.LogOutcome(absl::OkStatus());
      StartWriteAndFinish(&chunk_, grpc::WriteOptions(), grpc::Status::OK);
      return;
    }
    // Never false: this call is not interrupted.
    static_cast<void>(
        watch_.Wait(StallWait::kWrite, [this] { StartWrite(&chunk_); }));
  }

  absl::StatusOr<Progress> FillChunk() {
    SIMVISOR_RETURN_IF_ERROR(limits_());
    if (!source_.has_value()) SIMVISOR_RETURN_IF_ERROR(MakeSource());
    // Goes when its chunk is made.  If each thread kept one for the next
    // stream, they would hold up to a MiB for each thread and each method.
    google::protobuf::Arena arena(ResponseArenaOptions());
    Response& response =
        *google::protobuf::Arena::CreateMessage<Response>(&arena);
    SIMVISOR_ASSIGN_OR_RETURN(const Progress progress,
                              source_->Next(&response));
    SIMVISOR_RETURN_IF_ERROR(
        WriteMessage(runner_->messages, record_.method(), response, chunk_));
    return progress;
  }

  // Has the chunk made on another thread.
  void GoTo(const Detour& detour) {
    const bool to_lane = detour.place == Place::kLane;
    CallJob job = {
        .run = [this,
                to_lane] { Produce(to_lane ? Place::kLane : Place::kLong); },
        .is_over = [this] { return !limits_().ok(); }};
    const absl::Status status =
        to_lane ? runner_->lanes.Submit(detour.lane.get(), job)
                : runner_->long_jobs.Submit(job);
    if (!status.ok()) End(status);
  }

  absl::Status MakeSource() {
    SIMVISOR_ASSIGN_OR_RETURN(Source source, make_(*request_));
    source_.emplace(std::move(source));
    // The source keeps data from the request, so its charge stays.
    charge_ = request_.TakeCharge();
    request_.Clear();
    return absl::OkStatus();
  }

  UnsentAnswers::Entry unsent_;
  bool last_ = false;  // whether the chunk is the last one
  OpenCalls::Place place_;
  TakenMessage<Request> request_;  // until there is a source
  const Make make_;
  std::optional<Source> source_;
  MessageBudget::Charge charge_;
  grpc::ByteBuffer chunk_;
};

// Streams what a source fills, or fails with the status of the source.  `make`
// is
//
//   absl::StatusOr<Source>(const Request& request)
//
// and is called just before the first chunk is made, on the same thread; Source
// has
//
//   absl::StatusOr<Progress> Next(Response* response)
//
// which fills an empty response.  Calls never overlap.  If a call returns a
// detour (job_scope.h), it must have changed nothing, and is repeated
// elsewhere.
template <typename Make>
RawWriteReactor* StartStream(CallRunner* runner,
                             grpc::CallbackServerContext* context,
                             const grpc::ByteBuffer* request,
                             const char* method, Make make) {
  auto* const call =
      new StreamCall<Make>(runner, context, method, std::move(make));
  call->Start(request);
  return call;
}

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_STREAM_CALL_H_
