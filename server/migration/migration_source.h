// One migration, at its source: copies, hands over, and reports.
//
// Runs on a thread of its own kind, since it waits for the target: that is how
// back-pressure, and the policy's limit of bandwidth, slow it down.  Each wait
// is bounded, and each answer counts only after what it answers was sent; see
// PeerStream.  A target that stalls or misbehaves is one whose link breaks.
// What it comes to stands in OutgoingMigrations, which does to the domain what
// has to be done.
//
// Thread safety: Run() is called once; Cancel() from any thread, as long as
// this object lasts.

#ifndef SIMVISOR_SERVER_MIGRATION_MIGRATION_SOURCE_H_
#define SIMVISOR_SERVER_MIGRATION_MIGRATION_SOURCE_H_

#include <grpcpp/client_context.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "domain/migration/precopy.h"
#include "domain/vm/domain.h"
#include "server/machine/fault_injector.h"
#include "server/migration/outgoing_migrations.h"
#include "server/migration/peer_address.h"
#include "server/migration/peer_stream.h"
#include "server/threads/clock.h"
#include "simvisor/v1/migration_service.grpc.pb.h"

namespace simvisor::server {

class MigrationSource {
 public:
  struct Plan {
    std::string id;
    std::shared_ptr<Domain> domain;
    PeerAddress target;
    PrecopyPolicy policy;
    bool start_paused = false;
  };
  // Told about ten times a second, and of every change of phase.
  using Report = std::function<void(const v1::MigrateDomainResponse&)>;

  // Waits `stall_timeout` for the target.  `migrations` and `faults` outlive
  // this object.
  MigrationSource(Plan plan, OutgoingMigrations* migrations,
                  FaultInjector* faults, Clock::Time::duration stall_timeout,
                  Report report);

  // OK once the target runs the domain.  Errors as MigrateDomain.
  absl::Status Run() ABSL_LOCKS_EXCLUDED(mu_);
  // Ends the migration with `why`.  If the target has been told to run the
  // domain, it is asked whether it does, and that counts.
  void Cancel(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  absl::Status Reach(FaultPoint point) { return faults_->Reach(point, name_); }
  // Connects, and turns the log of dirty pages on.
  absl::Status Prepare();
  absl::Status HandOver();
  absl::Status Offer();
  absl::Status CopyAll();
  absl::Status NextPass();
  // Sends what comes next, about as much as one message carries; if it was the
  // last before `answer`, that may come.
  absl::Status SendPiece(PeerStream::Answer answer,
                         bool (Precopy::*is_last)() const);
  // Adds a piece to what will be sent.
  absl::Status MakePiece();
  // Most bytes that one message carries: as many as are paced for in a second.
  size_t MaxChunkBytes() const;
  // Waits until the bandwidth allows more.
  absl::Status Pace() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Commit() ABSL_LOCKS_EXCLUDED(mu_);
  // After a failure: what became of the domain.
  absl::Status Settle(const absl::Status& why);

  absl::Status Write(v1::ReceiveDomainRequest& request);
  absl::Status Flush();
  // The answer that is expected.
  absl::Status Read();
  // That COMMITTED names the domain that was sent.
  absl::Status CheckCommitted() const;
  // Ends the stream, if there is one, and answers how it ended.
  grpc::Status EndStream(Clock::Time::duration patience);
  // Why the stream has ended.
  absl::Status Broken() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status CheckCancelled() const ABSL_LOCKS_EXCLUDED(mu_);
  bool IsCancelled() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return !cancelled_.ok();
  }
  void Enter(v1::MigrationPhase phase);
  void ReportNow();
  uint64_t MillisecondsSince(Clock::Time start) const;
  uint64_t BytesPerSecond() const;

  const Plan plan_;
  const std::string name_;  // of the domain, at the start
  const std::string operation_;
  OutgoingMigrations* const migrations_;
  FaultInjector* const faults_;
  const Clock::Time::duration stall_timeout_;
  const Report report_;
  Clock* const clock_ = SystemClock();

  grpc::ClientContext context_;
  std::unique_ptr<v1::MigrationService::Stub> stub_;
  std::unique_ptr<PeerStream> stream_;
  bool admitted_ = false;
  std::unique_ptr<Precopy> precopy_;
  std::string piece_;
  v1::ReceiveDomainRequest request_;
  v1::ReceiveDomainResponse response_;
  v1::MigrateDomainResponse progress_;
  uint64_t head_bytes_ = 0;
  uint64_t bytes_sent_ = 0;
  Clock::Time copying_since_;
  Clock::Time pass_since_;
  Clock::Time suspended_since_;
  Clock::Time reported_at_;

  mutable absl::Mutex mu_;
  absl::Status cancelled_ ABSL_GUARDED_BY(mu_);
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_MIGRATION_SOURCE_H_
