// The common part of streaming calls: limits, a record, a watch over their
// waits, and their end.
//
// Thread safety: as documented by the derived class.

#ifndef SIMVISOR_SERVER_CALLS_STREAM_REACTOR_H_
#define SIMVISOR_SERVER_CALLS_STREAM_REACTOR_H_

#include <grpcpp/server_context.h>

#include "absl/status/status.h"
#include "server/calls/call_limits.h"
#include "server/calls/call_record.h"
#include "server/calls/call_runner.h"
#include "server/calls/calls_in_flight.h"
#include "server/calls/cancel_call.h"
#include "server/calls/raw_service.h"
#include "server/calls/rpc_status.h"
#include "server/calls/stall_timer.h"
#include "server/threads/worker_pool.h"

namespace simvisor::server {

// `Base` is RawReadReactor, RawWriteReactor or RawBidiReactor.
template <typename Base>
class StreamReactor : public Base {
 public:
  using Reactor = Base;

  void OnDone() override { delete this; }

 protected:
  // `pool`, one of the runner's, runs Stalled().  `method` is a literal.  The
  // call counts in `calls` for its lifetime, unless that is null.
  StreamReactor(CallRunner* runner, WorkerPool* pool, CallsInFlight* calls,
                grpc::CallbackServerContext* context, const char* method)
      : runner_(runner),
        limits_(context),
        record_(calls, method),
        pool_(*pool),
        watch_(&runner->stalls, method,
               [this, context](const absl::Status& why, StallWait wait) {
                 pool_.Submit([this, context, why, wait] {
                   if (wait == StallWait::kWrite) CancelCall(context, why);
                   Stalled(why);
                 });
               }) {}

  // The other end stalled, or the call was interrupted.  Runs instead of the
  // continuation of the read or write in flight.
  virtual void Stalled(const absl::Status& why) { End(why); }
  // Finishes the call; the object may be deleted by the time this returns.  An
  // override calls this last.
  virtual void End(const absl::Status& status) {
    record_.LogOutcome(status);
    this->Finish(ToGrpcStatus(status));
  }

  CallRunner* const runner_;
  const CallLimits limits_;
  const CallRecord record_;
  WorkerPool& pool_;
  StallWatch watch_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_STREAM_REACTOR_H_
