// One StreamMemoryOps call.
//
// A message that has been read is parsed and taken apart on the pool: the
// domain of each operation is looked up, and the operations go to an
// OpScheduler, whose lanes are the domains.  Then the next message is read, at
// once or when less is outstanding.  All this, and the jobs of the scheduler,
// run on the threads of the pool that streams may use (CallRunner::streams).
// At the end of a turn the results go to the outbox, from which one message at
// a time is written.
//
// So at any moment one read, one write and several jobs may be in progress, and
// what they share is under a mutex.  Code that changes it asks Decide() what is
// due now, releases the mutex and does it: the flags that Decide() sets make
// sure that no other thread does the same.  The call is finished when there is
// nothing left to read, to do or to write; none of it is used after that.
//
// A client that does not take its results within the stall timeout loses the
// call (StallWatch).  A client that sends nothing may just be idle, and does
// not.
//
// While nothing is outstanding, the call does not count as in flight, so that
// an open but idle stream does not delay a drain.
//
// Thread safety: as argued above.

#ifndef SIMVISOR_SERVER_MEMORY_MEMORY_OPS_CALL_H_
#define SIMVISOR_SERVER_MEMORY_MEMORY_OPS_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "domain/vm/domain.h"
#include "server/calls/call_limits.h"
#include "server/calls/call_runner.h"
#include "server/calls/idle_calls.h"
#include "server/calls/raw_service.h"
#include "server/calls/stream_reactor.h"
#include "server/calls/unsent_answers.h"
#include "server/memory/memory_op_batch.h"
#include "server/threads/op_scheduler.h"
#include "simvisor/v1/memory_ops.pb.h"

namespace simvisor::server {

class MemoryOpsCall : public StreamReactor<RawBidiReactor> {
 public:
  MemoryOpsCall(CallRunner* runner, grpc::CallbackServerContext* context);

  // Starts the first read.
  void Start() ABSL_LOCKS_EXCLUDED(mu_);

  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Op {
    const MemoryOpBatch* batch;
    const v1::MemoryOp* op;  // in the batch
    std::shared_ptr<Domain> domain;
  };
  using Scheduler = OpScheduler<const Domain*, Op>;
  using Reply = std::unique_ptr<MemoryOpReply>;

  // A batch with operations that are not done yet.
  struct Held {
    std::unique_ptr<const MemoryOpBatch> batch;
    size_t undone = 0;
    uint64_t weight = 0;
  };

  // What to do once the mutex is released.
  struct Due {
    bool read = false;
    MemoryOpReply* write = nullptr;
    bool finish = false;
  };

  // Takes apart the message that has been read.  Called on the pool.
  void Take() ABSL_LOCKS_EXCLUDED(mu_);
  // Fills entries_ with the operations for the scheduler.  Returns the results
  // of operations whose domain is not found.
  std::vector<Reply> FindDomains(const MemoryOpBatch& batch);
  // Counts and keeps a batch that has been taken apart.
  void Hold(std::unique_ptr<const MemoryOpBatch> batch,
            std::vector<Reply> failed) ABSL_LOCKS_EXCLUDED(mu_);
  // Stops reading; the call ends with `error` once all earlier operations are
  // done.
  void Refuse(const absl::Status& error) ABSL_LOCKS_EXCLUDED(mu_);

  // Runs operations of one domain and sends their results; returns how many
  // were run, see OpScheduler::DoTurn.  Called on the pool.
  size_t DoTurn(const std::vector<Op>& ops, absl::FunctionRef<bool()> is_over)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status DoOp(const Op& op, const CallLimits& limits,
                    v1::MemoryOpResult* result) const;
  void Send(Reply reply) ABSL_LOCKS_EXCLUDED(mu_);
  // Notes that `ops` are done; `skipped` of them have no result.
  void EndTurn(absl::Span<const Op> ops, size_t skipped, Reply reply)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Puts a reply into the outbox.
  void Post(Reply reply) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Release(const MemoryOpBatch* batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Notes that a reply has been written or dropped.
  void Forget(const MemoryOpReply& reply) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AddOutstanding(size_t ops) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SubtractOutstanding(size_t ops) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HasRoom() const ABSL_SHARED_LOCKS_REQUIRED(mu_);

  // Updates whether the call counts as idle.
  void ShowWhetherIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Due Decide() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The write in flight has failed or stalled.
  void BreakWrites() ABSL_LOCKS_EXCLUDED(mu_);
  // The object may be deleted by the time this returns.
  void Do(const Due& due) ABSL_LOCKS_EXCLUDED(mu_);
  void Stalled(const absl::Status&) override { BreakWrites(); }
  void EndAll() ABSL_LOCKS_EXCLUDED(mu_);

  // Constant after construction.
  // Jobs share it: they may use it after the call is gone.
  const std::shared_ptr<Scheduler> scheduler_;

  IdleCalls::Entry idle_;  // added only while it waits for its client
  UnsentAnswers::Entry unsent_;
  // Used by the read in flight and its continuation, of which there is one.
  grpc::ByteBuffer read_;
  std::vector<Scheduler::Entry> entries_;

  absl::Mutex mu_;
  // A message is being read or taken apart.
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  // gRPC is reading it.
  bool asked_ ABSL_GUARDED_BY(mu_) = false;
  bool reads_over_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_map<const MemoryOpBatch*, Held> held_ ABSL_GUARDED_BY(mu_);
  std::deque<Reply> outbox_ ABSL_GUARDED_BY(mu_);
  Reply writing_ ABSL_GUARDED_BY(mu_);  // null if nothing is being written
  Reply broken_ ABSL_GUARDED_BY(mu_);   // gRPC may use it until the end
  bool writes_broken_ ABSL_GUARDED_BY(mu_) = false;
  // Operations that are not done or whose results are not yet written; an empty
  // message counts as one.
  size_t outstanding_ ABSL_GUARDED_BY(mu_) = 0;
  // Of all batches and replies held.
  uint64_t weight_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status error_ ABSL_GUARDED_BY(mu_);
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MEMORY_MEMORY_OPS_CALL_H_
