// A streaming call that alternates between jobs on a pool and reads or writes.
//
// At any moment exactly one of these holds: a job of the call is queued or
// runs, a read or a write is in flight, or the call is finished.  Each leads to
// the next, so members need no lock, a message is never written while gRPC
// reads it, and Finish() is called once.  If the client stalls, the StallWatch
// submits a job that ends the call instead of the read or write in flight.
//
// Thread safety: as argued above.

#ifndef SIMVISOR_SERVER_CALLS_POOLED_REACTOR_H_
#define SIMVISOR_SERVER_CALLS_POOLED_REACTOR_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include "server/calls/call_runner.h"
#include "server/calls/raw_service.h"
#include "server/calls/stall_timer.h"
#include "server/calls/stream_reactor.h"
#include "server/threads/worker_pool.h"

namespace simvisor::server {

// `Base` is RawReadReactor or RawBidiReactor.
template <typename Base>
class PooledReactor : public StreamReactor<Base> {
 public:
  // Begins with a read.
  void Start() { Read(); }

  void OnReadDone(bool ok) override {
    if (!this->watch_.Done()) return;
    this->pool_.Submit([this, ok] {
      if (ok) {
        Take();
      } else {
        Break();
      }
    });
  }

 protected:
  // `pool`, one of the runner's, runs the steps.  `method` is a literal.
  PooledReactor(CallRunner* runner, WorkerPool* pool,
                grpc::CallbackServerContext* context, const char* method)
      : StreamReactor<Base>(runner, pool, &runner->calls, context, method) {}

  // A message is in read_.  Called on the pool.
  virtual void Take() = 0;
  // No more messages follow: the client has half-closed, or a read or a write
  // has failed.  Called on the pool.
  virtual void Break() = 0;

  // Reads the next message into read_.  The object may be deleted by the time
  // this returns.
  void Read() {
    const auto start = [this] { this->StartRead(&read_); };
    if (!this->watch_.Wait(StallWait::kRead, start)) {
      this->End(this->watch_.why());
    }
  }

  grpc::ByteBuffer read_;
};

// A PooledReactor that also writes.
class PooledBidiReactor : public PooledReactor<RawBidiReactor> {
 public:
  void OnWriteDone(bool ok) override {
    if (!watch_.Done()) return;
    watch_.Moved();
    pool_.Submit([this, ok] {
      if (ok) {
        Written();
      } else {
        Break();
      }
    });
  }

 protected:
  using PooledReactor::PooledReactor;

  // The message in write_ has been written.  Called on the pool.
  virtual void Written() = 0;

  // Writes the message in write_.  The object may be deleted by the time this
  // returns.
  void Write() {
    if (!watch_.Wait(StallWait::kWrite, [this] { StartWrite(&write_); })) {
      End(watch_.why());
    }
  }

  grpc::ByteBuffer write_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_POOLED_REACTOR_H_
