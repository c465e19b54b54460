// One MigrateDomain call: runs a SourceSession and streams its progress.
//
// The session runs on a thread for migrations, since it blocks.  Its reports
// are written as fast as the client reads, always the latest one.  If the call
// is cancelled or its deadline passes, the migration is cancelled, and the call
// ends after it.  A client that does not read does not delay the migration;
// after its end the client has the stall timeout to take the last report.
//
// Thread safety: reports, finished writes and cancellation come from different
// threads; the mutex orders them.

#ifndef SIMVISOR_SERVER_MIGRATION_MIGRATE_CALL_H_
#define SIMVISOR_SERVER_MIGRATION_MIGRATE_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/calls/call_runner.h"
#include "server/calls/raw_message.h"
#include "server/calls/raw_service.h"
#include "server/calls/stream_reactor.h"
#include "server/migration/migration_queue.h"
#include "server/migration/migration_targets.h"
#include "server/migration/peer_address.h"
#include "server/sessions/outgoing_migrations.h"
#include "server/sessions/source_session.h"
#include "simvisor/v1/live_migration.pb.h"

namespace simvisor::server {

class MigrateCall : public StreamReactor<RawWriteReactor> {
 public:
  // All pointers except `in` must outlive the call.
  MigrateCall(CallRunner* runner, OutgoingMigrations* migrations,
              MigrationQueue* queue, const MigrationTargets* targets,
              grpc::CallbackServerContext* context, const grpc::ByteBuffer* in);

  void Start();

  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnCancel() override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Queues the migration.
  absl::Status Queue();
  absl::StatusOr<PeerAddress> Target() const;
  // Runs on a thread for migrations; the session is gone when it returns.
  absl::Status Migrate(const PeerAddress& target) ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::unique_ptr<SourceSession>> MakeSession(
      const PeerAddress& target);
  void Post(const v1::MigrateDomainResponse& progress) ABSL_LOCKS_EXCLUDED(mu_);
  // Notes that the migration has ended; the call ends when its last report has
  // left.
  void End(const absl::Status& status) override ABSL_LOCKS_EXCLUDED(mu_);
  // Ends the call without its last report.
  void Stalled(const absl::Status& why) override;
  // What to do next, if no write is in flight.  Do() runs without the lock,
  // since the object may be gone after it finishes the call.
  enum class Due { kNothing, kWrite, kLastWrite, kFinish };
  Due TakeDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Do(Due due);

  OutgoingMigrations* const migrations_;
  MigrationQueue* const queue_;
  const MigrationTargets* const targets_;
  const grpc::ByteBuffer* const in_;
  TakenMessage<v1::MigrateDomainRequest> request_;

  absl::Mutex mu_;
  // Set while the migration runs.
  SourceSession* session_ ABSL_GUARDED_BY(mu_) = nullptr;
  std::optional<v1::MigrateDomainResponse> waiting_ ABSL_GUARDED_BY(mu_);
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool watched_ ABSL_GUARDED_BY(mu_) = false;  // for a stalled write
  // Used only by the thread that TakeDue() tells to write or to finish.
  grpc::ByteBuffer write_;
  absl::Status outcome_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_MIGRATE_CALL_H_
