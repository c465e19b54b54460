// The stream of one migration to its target, for the thread that drives it.
//
// Responses are read as they come, whether or not they are waited for: each has
// to come after what it answers has begun to leave, and once.  One that is
// early, late or twice ends the stream (TARGET_MISBEHAVED).  Every wait is
// bounded: if a message does not leave, or an answer does not come, within the
// window, the stream ends (CALL_STALLED).
//
// A message is on its way while the next one is made: Write() returns before it
// has left.
//
// Thread safety: one thread drives it; gRPC's threads report what is done.  The
// context may be cancelled from any.

#ifndef SIMVISOR_SERVER_MIGRATION_PEER_STREAM_H_
#define SIMVISOR_SERVER_MIGRATION_PEER_STREAM_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/threads/clock.h"
#include "simvisor/v1/migration_service.grpc.pb.h"

namespace simvisor::server {

class PeerStream final
    : private grpc::ClientBidiReactor<v1::ReceiveDomainRequest,
                                      v1::ReceiveDomainResponse> {
 public:
  using Answer = v1::ReceiveDomainResponse::StepCase;
  static constexpr Answer kNoAnswer = v1::ReceiveDomainResponse::STEP_NOT_SET;

  // Calls ReceiveDomain.  All outlive this object.
  PeerStream(v1::MigrationService::Stub* stub, grpc::ClientContext* context,
             Clock* clock, Clock::Time::duration window);
  PeerStream(const PeerStream&) = delete;
  PeerStream& operator=(const PeerStream&) = delete;
  // Cancels the call unless End() was called.
  ~PeerStream() override;

  // From now on `answer` may come: to be called right before the write that
  // asks for it.  REQUIRES: Read() has taken the answer before.
  void Expect(Answer answer) ABSL_LOCKS_EXCLUDED(mu_);
  // Sends `request` once the one before has left, and leaves some other content
  // in it.  False if the stream has ended.
  bool Write(v1::ReceiveDomainRequest& request) ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until the last request has left.  False if the stream has ended.
  bool Flush() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for the answer that is expected.  False if the stream has ended
  // without.
  bool Read(v1::ReceiveDomainResponse& response) ABSL_LOCKS_EXCLUDED(mu_);

  // Ends the call, and answers how it ended; nothing can be sent afterwards.
  // Waits at most `patience` for the target to end it, then cancels.
  grpc::Status End(Clock::Time::duration patience) ABSL_LOCKS_EXCLUDED(mu_);

  // Why this end has given the stream up: CALL_STALLED, TARGET_MISBEHAVED, or
  // OK if it has not.
  absl::Status fault() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnDone(const grpc::Status& status) override ABSL_LOCKS_EXCLUDED(mu_);

  bool IsBroken() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return broken_ || !fault_.ok();
  }
  bool HasLeft() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !writing_; }
  bool HasAnswer() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return answer_.has_value() || IsBroken();
  }
  bool IsDone() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return status_.has_value();
  }
  // Waits for `condition` as long as the window; if it does not come to hold,
  // the stream is given up.
  bool Await(bool (PeerStream::*condition)() const)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  grpc::ClientContext* const context_;
  Clock* const clock_;
  const Clock::Time::duration window_;

  // Of the write and the read in flight.
  v1::ReceiveDomainRequest sending_;
  v1::ReceiveDomainResponse incoming_;
  bool ended_ = false;  // by End()

  mutable absl::Mutex mu_;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  // A write failed, or no more responses come.
  bool broken_ ABSL_GUARDED_BY(mu_) = false;
  Answer expected_ ABSL_GUARDED_BY(mu_) = kNoAnswer;
  std::optional<v1::ReceiveDomainResponse> answer_ ABSL_GUARDED_BY(mu_);
  absl::Status fault_ ABSL_GUARDED_BY(mu_);
  std::optional<grpc::Status> status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_PEER_STREAM_H_
