// The stream of one migration to its target, as a call of ReceiveDomain.
//
// Answers are read as they come, even if the caller does not wait for them; see
// AnswerSlot.  Every wait is bounded: if a message does not leave, or an answer
// does not come, within the window, the stream ends (CALL_STALLED).
//
// Write() returns before the message has left, so the caller can make the next
// one meanwhile.
//
// Thread safety: thread-compatible; Cancel() may be called from any thread.
// gRPC calls the On...() methods on its own threads.

#ifndef SIMVISOR_SERVER_MIGRATION_GRPC_STREAM_H_
#define SIMVISOR_SERVER_MIGRATION_GRPC_STREAM_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/sessions/answer_slot.h"
#include "server/sessions/peer.h"
#include "server/threads/clock.h"
#include "simvisor/v1/migration_service.grpc.pb.h"

namespace simvisor::server {

class GrpcStream final
    : public PeerStream,
      private grpc::ClientBidiReactor<v1::ReceiveDomainRequest,
                                      v1::ReceiveDomainResponse> {
 public:
  // `clock` must outlive this object.
  GrpcStream(std::unique_ptr<v1::MigrationService::Stub> stub, Clock* clock,
             Clock::Time::duration window);
  GrpcStream(const GrpcStream&) = delete;
  GrpcStream& operator=(const GrpcStream&) = delete;
  // Cancels the call if it was opened and End() was not called.
  ~GrpcStream() override;

  void Open() override;
  void Expect(TargetAnswer answer) override ABSL_LOCKS_EXCLUDED(mu_);
  bool Write(const SourceMessage& message) override ABSL_LOCKS_EXCLUDED(mu_);
  bool Flush() override ABSL_LOCKS_EXCLUDED(mu_);
  bool Read(TargetMessage& message) override ABSL_LOCKS_EXCLUDED(mu_);
  PeerStatus End(Clock::Time::duration patience) override
      ABSL_LOCKS_EXCLUDED(mu_);
  void Cancel() override { context_.TryCancel(); }
  absl::Status fault() const override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnDone(const grpc::Status& status) override ABSL_LOCKS_EXCLUDED(mu_);

  bool IsBroken() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return broken_ || !fault_.ok();
  }
  bool HasLeft() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !writing_; }
  bool HasAnswer() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return answers_.has_answer() || IsBroken();
  }
  bool IsDone() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return status_.has_value();
  }
  // Waits for `condition`, at most for the window.  If it does not become true,
  // sets fault_ and returns false; the caller must then Cancel().
  bool Await(bool (GrpcStream::*condition)() const)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::unique_ptr<v1::MigrationService::Stub> stub_;
  Clock* const clock_;
  const Clock::Time::duration window_;
  grpc::ClientContext context_;

  // The next write, and the write and the read in flight.
  v1::ReceiveDomainRequest next_;
  v1::ReceiveDomainRequest sending_;
  v1::ReceiveDomainResponse incoming_;
  bool open_ = false;  // opened, not ended

  mutable absl::Mutex mu_;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  // A write failed, or no more answers come.
  bool broken_ ABSL_GUARDED_BY(mu_) = false;
  AnswerSlot answers_ ABSL_GUARDED_BY(mu_);
  v1::ReceiveDomainResponse answer_ ABSL_GUARDED_BY(mu_);  // of answers_
  absl::Status fault_ ABSL_GUARDED_BY(mu_);
  std::optional<grpc::Status> status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_GRPC_STREAM_H_
