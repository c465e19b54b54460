// How a unary method runs: at once on gRPC's thread, or on the worker pool, to
// which the way costs several times what a short method does.
//
// A method's work is a body `absl::Status(StopCheck)` that reads the request
// and fills the response.  gRPC keeps context, request and response until
// Finish() is called, and Finish() is called exactly once, after the body: so a
// body may capture them as pointers wherever it runs, and a client that
// vanishes only turns the StopCheck.  Nothing of the call may be touched after
// Finish().
//
// Thread safety: functions may be called from any thread.

#ifndef SIMVISOR_SERVER_UNARY_CALL_H_
#define SIMVISOR_SERVER_UNARY_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <utility>

#include "absl/status/status.h"
#include "server/call_limits.h"
#include "server/call_record.h"
#include "server/call_runner.h"
#include "server/rpc_status.h"

namespace simvisor::server {

// Runs `body` and finishes the call.  A call that is over before it starts is
// answered without running the body.
template <typename Body>
void RunAndFinish(grpc::CallbackServerContext* context,
                  grpc::ServerUnaryReactor* reactor, const CallRecord& record,
                  Body& body) {
  const CallLimits limits(context);
  absl::Status status = limits();
  if (status.ok()) status = body(limits);
  record.LogOutcome(status);
  reactor->Finish(ToGrpcStatus(status));
}

// For work that takes neither the host's lock nor a domain's, since a page loop
// may hold them and gRPC's threads serve health checks too: GetHost, and the
// methods of FaultService.
template <typename Body>
grpc::ServerUnaryReactor* RunInline(CallRunner* runner,
                                    grpc::CallbackServerContext* context,
                                    const char* method, Body body) {
  const CallRecord record(&runner->calls, method);
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  RunAndFinish(context, reactor, record, body);
  return reactor;
}

// For work that may last.
template <typename Body>
grpc::ServerUnaryReactor* RunOnPool(CallRunner* runner,
                                    grpc::CallbackServerContext* context,
                                    const char* method, Body body) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  runner->pool.Submit([context, reactor,
                       record = CallRecord(&runner->calls, method),
                       body = std::move(body)]() mutable {
    RunAndFinish(context, reactor, record, body);
  });
  return reactor;
}

// For work that mostly is short, but may have much to do, or meet a page loop
// that holds a lock: it runs at once if `is_quick` says, without waiting, that
// it is bounded and that the locks it needs are free.  One may be taken right
// after that, and then the call waits for as long as that lasts, or finds a
// guest of another size and has more to do.  So only one call at a time runs
// like this, and costs the health checks one of gRPC's threads at worst, of
// which there are at least two; the others go to the pool.
template <typename IsQuick, typename Body>
grpc::ServerUnaryReactor* RunQuick(CallRunner* runner,
                                   grpc::CallbackServerContext* context,
                                   const char* method, IsQuick is_quick,
                                   Body body) {
  {
    const QuickGate::Pass pass(&runner->quick);
    if (pass.is_in() && is_quick()) {
      return RunInline(runner, context, method, std::move(body));
    }
  }
  return RunOnPool(runner, context, method, std::move(body));
}

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_UNARY_CALL_H_
