// Runs a unary method inline on gRPC's thread, on the worker pool, or on a
// thread for long work; the hop to the pool costs several times as much as a
// short method.  A body that finds that it runs in the wrong place is run again
// in the right one (job_scope.h).
//
// A method's work is a body
//
//   absl::Status(const Request& request, Response* response, StopCheck stop)
//
// whose parameter types give its messages.  The request is parsed on gRPC's
// thread, before it is decided where the body runs.  If the request cannot be
// parsed, or there is no room for it in the message budget or among the open
// calls, or the call is over by then, the call is answered without running the
// body.
//
// Request and response live until the body has run and the response has been
// serialised.  gRPC keeps context, reactor and bytes until Finish(), which is
// called exactly once, at the end.  So a body may run on any thread, and a
// client that vanishes only makes the StopCheck fail.
//
// Thread safety: functions may be called from any thread.

#ifndef SIMVISOR_SERVER_CALLS_UNARY_CALL_H_
#define SIMVISOR_SERVER_CALLS_UNARY_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "google/protobuf/arena.h"
#include "google/protobuf/message.h"
#include "server/calls/call_limits.h"
#include "server/calls/call_record.h"
#include "server/calls/call_runner.h"
#include "server/calls/message_budget.h"
#include "server/calls/unary_answer.h"
#include "server/machine/memory_reserve.h"
#include "server/threads/job_queue.h"
#include "server/threads/job_scope.h"

namespace simvisor::server {

// The part of a call that does not depend on its types.
class UnaryCallBase {
 public:
  UnaryCallBase(CallRunner* runner, const RawUnary& raw, const char* method)
      : runner_(*runner),
        raw_(raw),
        reactor_(new UnaryAnswer(runner->messages, raw.context)),
        method_(method),
        record_(&runner->calls, method) {}
  UnaryCallBase(const UnaryCallBase&) = delete;
  UnaryCallBase& operator=(const UnaryCallBase&) = delete;

  grpc::ServerUnaryReactor* reactor() const { return reactor_; }
  CallRunner& runner() const { return runner_; }
  // Whether the client is gone, or the deadline has passed.
  bool IsOver() const { return raw_.context->IsCancelled(); }

 protected:
  google::protobuf::Arena* arena() { return &arena_; }
  const grpc::CallbackServerContext* context() const { return raw_.context; }
  const char* method() const { return method_; }

  // Takes a place and parses `request`; on failure finishes the call and
  // returns false.
  bool Accept(google::protobuf::Message* request);
  // Finishes the call.  No gRPC object of the call may be used after that.
  void Finish(absl::Status status, const google::protobuf::Message& response);

 private:
  // Enough for the messages of most calls.
  static constexpr size_t kBlockBytes = 1024;

  CallRunner& runner_;
  const RawUnary raw_;
  UnaryAnswer* const reactor_;  // gRPC's
  const char* const method_;
  const CallRecord record_;
  MessageBudget::Charge charge_;
  alignas(8) char block_[kBlockBytes];
  google::protobuf::Arena arena_{block_, sizeof(block_)};
};

namespace unary_internal {

template <typename Function>
struct TypesOf;
template <typename Body, typename Req, typename Res, typename Stop>
struct TypesOf<absl::Status (Body::*)(const Req&, Res*, Stop) const> {
  using Request = Req;
  using Response = Res;
};

}  // namespace unary_internal

template <typename Body>
class UnaryCall final : public UnaryCallBase {
 public:
  using Types = unary_internal::TypesOf<decltype(&Body::operator())>;
  using Request = typename Types::Request;
  using Response = typename Types::Response;

  UnaryCall(CallRunner* runner, const RawUnary& raw, const char* method,
            Body body)
      : UnaryCallBase(runner, raw, method),
        body_(std::move(body)),
        request_(google::protobuf::Arena::CreateMessage<Request>(arena())),
        response_(google::protobuf::Arena::CreateMessage<Response>(arena())) {}

  // Whether the body must run; if not, the call is finished.
  bool Accept() { return UnaryCallBase::Accept(request_); }
  const Request& request() const { return *request_; }

  // Runs the body in `place` and finishes the call; or returns where else the
  // body must run.
  std::optional<Detour> Run(Place place) {
    const CallLimits limits(context());
    absl::Status status = limits();
    if (status.ok()) {
      JobScope scope(&runner().lanes, place);
      status = WithinMemory(
          method(), [&] { return body_(request(), response_, limits); });
      if (!status.ok() && scope.detour().has_value()) return scope.detour();
    }
    Finish(std::move(status), *response_);
    return std::nullopt;
  }
  // Finishes the call without running the body.
  void Refuse(absl::Status status) { Finish(std::move(status), *response_); }

 private:
  const Body body_;
  // In the arena.
  Request* const request_;
  Response* const response_;
};

// For work that takes neither the host's lock nor a domain's: a page loop may
// hold them, and gRPC's threads also serve health checks.  Used for GetHost and
// the methods of FaultService.
template <typename Body>
grpc::ServerUnaryReactor* RunInline(CallRunner* runner, const RawUnary& raw,
                                    const char* method, Body body) {
  UnaryCall<Body> call(runner, raw, method, std::move(body));
  // The body enters no domain and begins no long work, so there is no detour.
  if (call.Accept()) call.Run(Place::kLong);
  return call.reactor();
}

template <typename Body>
using UnaryCallPtr = std::unique_ptr<UnaryCall<Body>>;

template <typename Body>
void RunCall(UnaryCallPtr<Body> call, Place place);

// Runs the call elsewhere, or finishes it if too many calls wait there.
template <typename Body>
void SendCall(UnaryCallPtr<Body> call, const Detour& detour) {
  UnaryCall<Body>& sent = *call;
  CallRunner& runner = sent.runner();
  const Place place = detour.place;
  CallJob job = {.run = [call = std::move(call),
                         place]() mutable { RunCall(std::move(call), place); },
                 .is_over = [&sent] { return sent.IsOver(); }};
  if (place == Place::kWait) return runner.waits.Submit(std::move(job.run));
  absl::Status status = place == Place::kLane
                            ? runner.lanes.Submit(detour.lane.get(), job)
                            : runner.long_jobs.Submit(job);
  // Submit() left the job as it is, so the call still exists.
  if (!status.ok()) sent.Refuse(std::move(status));
}

template <typename Body>
void RunCall(UnaryCallPtr<Body> call, Place place) {
  const std::optional<Detour> detour = call->Run(place);
  if (detour.has_value()) SendCall(std::move(call), *detour);
}

// For work that is short, or that takes a detour when it is not.  Runs on
// `pool`, one of the runner's.
template <typename Body>
grpc::ServerUnaryReactor* RunOn(WorkerPool* pool, CallRunner* runner,
                                const RawUnary& raw, const char* method,
                                Body body) {
  auto call =
      std::make_unique<UnaryCall<Body>>(runner, raw, method, std::move(body));
  grpc::ServerUnaryReactor* const reactor = call->reactor();
  if (call->Accept()) {
    pool->Submit([call = std::move(call)]() mutable {
      RunCall(std::move(call), Place::kShort);
    });
  }
  return reactor;
}
template <typename Body>
grpc::ServerUnaryReactor* RunOnPool(CallRunner* runner, const RawUnary& raw,
                                    const char* method, Body body) {
  return RunOn(&runner->pool, runner, raw, method, std::move(body));
}

// For long work.
template <typename Body>
grpc::ServerUnaryReactor* RunLong(CallRunner* runner, const RawUnary& raw,
                                  const char* method, Body body) {
  auto call =
      std::make_unique<UnaryCall<Body>>(runner, raw, method, std::move(body));
  grpc::ServerUnaryReactor* const reactor = call->reactor();
  if (call->Accept()) SendCall(std::move(call), Detour());
  return reactor;
}

// For work that is usually short, but may be long or have to wait for a page
// loop that holds a lock.  It runs inline if `is_quick(request)`, which must
// not block, says that the work is bounded and that the locks it needs are
// free.  A lock may be taken right after that, and then the call waits for it;
// or the guest may have grown meanwhile, and the call has more to do.  So only
// one call at a time runs inline, and takes at worst one of gRPC's threads, of
// which there are at least two, from the health checks; the others go to the
// pool.
template <typename IsQuick, typename Body>
grpc::ServerUnaryReactor* RunQuick(CallRunner* runner, const RawUnary& raw,
                                   const char* method, IsQuick is_quick,
                                   Body body) {
  auto call =
      std::make_unique<UnaryCall<Body>>(runner, raw, method, std::move(body));
  grpc::ServerUnaryReactor* const reactor = call->reactor();
  if (!call->Accept()) return reactor;
  {
    const QuickGate::Pass pass(&runner->quick);
    if (pass.is_in() && is_quick(call->request())) {
      RunCall(std::move(call), Place::kShort);
      return reactor;
    }
  }
  runner->pool.Submit([call = std::move(call)]() mutable {
    RunCall(std::move(call), Place::kShort);
  });
  return reactor;
}

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_UNARY_CALL_H_
