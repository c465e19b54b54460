// One Subscribe call: passes messages between a client and its subscription.
//
// Messages of the client are handled in their order, one at a time.  Most need
// only the notifier lock and are handled on gRPC's thread as they arrive, so an
// acknowledgement never waits for a thread.  Others move on, and the messages
// behind them wait: registering and resuming where they may wait for other
// changes, an access of the device where it may wait for its domain.
//
// Messages to the client come from the subscription's queue, whose order they
// keep.  The thread that queues one signals the call (MmuSignal), maybe with a
// domain's lock held, so the signal only starts a job that takes the messages
// and writes them, one write at a time.
//
// So at any moment one read, one message at work and one write may be in
// progress.  What they share is under a mutex; as in MemoryOpsCall, code that
// changes it asks Decide() what is due now, releases the mutex and does it.
//
// The call ends when the last message has been written, when the client breaks
// the protocol, or when the stream breaks.  A client that does not read its
// messages within the stall timeout loses the call.  One that sends requests
// and does not read the answers is not read from while kMaxUnread of them are
// unread.
//
// An open subscription does not count as a call in flight, so it does not delay
// a drain.
//
// Thread safety: as argued above.

#ifndef SIMVISOR_SERVER_MMUS_SUBSCRIBE_CALL_H_
#define SIMVISOR_SERVER_MMUS_SUBSCRIBE_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "domain/smmu/mmu_messages.h"
#include "domain/smmu/mmu_types.h"
#include "server/calls/call_runner.h"
#include "server/calls/raw_message.h"
#include "server/calls/raw_service.h"
#include "server/calls/stream_reactor.h"
#include "server/calls/unsent_answers.h"
#include "server/mmus/mmu_session.h"
#include "server/threads/job_scope.h"
#include "simvisor/v1/secondary_mmu_service.pb.h"

namespace simvisor::server {

class SubscribeCall : public StreamReactor<RawBidiReactor> {
 public:
  // More than any client needs that reads: a window of faults, each answered
  // twice, and as much again.
  static constexpr size_t kMaxUnread = size_t{4} * MmuLimits::kMaxFaultWindow;

  SubscribeCall(CallRunner* runner, grpc::CallbackServerContext* context);
  ~SubscribeCall() override;

  // Starts the first read.
  void Start() ABSL_LOCKS_EXCLUDED(mu_);

  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Signal;

  // What to do once the mutex is released.
  struct Due {
    bool read = false;
    bool write = false;
    bool finish = false;
  };

  // Starts to handle the message that has been read.
  void Take() ABSL_LOCKS_EXCLUDED(mu_);
  void Open() ABSL_LOCKS_EXCLUDED(mu_);
  // Handles the message on this thread.
  void HandleHere() ABSL_LOCKS_EXCLUDED(mu_);
  // Handles a message that needs the domain's lock.
  void HandleOnDomain(Place place) ABSL_LOCKS_EXCLUDED(mu_);
  // Whether its lock is free, and no fault can delay who takes it.
  bool IsDomainFree() const;
  // The message has been handled; the call ends with `status` if it is an
  // error.
  void Handled(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);

  // Messages may wait.  From Signal.
  void NoteMessages() ABSL_LOCKS_EXCLUDED(mu_);
  void Pump() ABSL_LOCKS_EXCLUDED(mu_);
  // Writes the next message, if there is one.
  // REQUIRES: this thread has set writing_.
  void WriteNext() ABSL_LOCKS_EXCLUDED(mu_);
  // Takes messages from the queue; errors as WithinMemory().
  absl::Status Refill();
  // Ends the turn at writing.
  void Rest(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mu_);
  void Stalled(const absl::Status&) override { BreakWrites(); }
  void BreakWrites() ABSL_LOCKS_EXCLUDED(mu_);

  bool IsEnding() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return over_ || broken_ || !error_.ok();
  }
  Due Decide() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The object may be deleted by the time this returns.
  void Do(const Due& due) ABSL_LOCKS_EXCLUDED(mu_);
  void EndAll() ABSL_LOCKS_EXCLUDED(mu_);

  const std::shared_ptr<Signal> signal_;
  UnsentAnswers::Entry unsent_;
  // Used by the read in flight and the message at work.
  grpc::ByteBuffer read_;
  TakenMessage<v1::SubscribeRequest> request_;
  MmuSession session_;
  // Used by the holder of writing_.
  std::deque<mmu::Message> outbox_;
  bool last_taken_ = false;  // no message follows those in outbox_
  bool is_answer_ = false;   // of the message in write_
  grpc::ByteBuffer write_;

  absl::Mutex mu_;
  bool asked_ ABSL_GUARDED_BY(mu_) = false;     // gRPC reads
  bool handling_ ABSL_GUARDED_BY(mu_) = false;  // a message is at work
  // The thread that handles it writes what it queues.
  bool inline_ ABSL_GUARDED_BY(mu_) = false;
  bool opened_ ABSL_GUARDED_BY(mu_) = false;
  bool reads_over_ ABSL_GUARDED_BY(mu_) = false;
  size_t unread_ ABSL_GUARDED_BY(mu_) = 0;  // answers to come or not written
  // Messages may wait in the queue or in outbox_.
  bool dirty_ ABSL_GUARDED_BY(mu_) = false;
  bool pumping_ ABSL_GUARDED_BY(mu_) = false;  // a job for Pump() is queued
  // A thread takes messages, or gRPC writes one.
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool over_ ABSL_GUARDED_BY(mu_) = false;    // all messages are written
  bool broken_ ABSL_GUARDED_BY(mu_) = false;  // no message can be written
  absl::Status error_ ABSL_GUARDED_BY(mu_);
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MMUS_SUBSCRIBE_CALL_H_
