// One MigrateDomain call: runs a SourceSession and streams its progress.
//
// The session runs on a thread for migrations, since it waits; its reports are
// written as fast as the client reads, the latest one each time.  A call that
// is cancelled, or runs out of time, cancels the migration; the call ends when
// the migration has.  A client that reads nothing does not hold the migration
// up; once that has ended, it has as long as the stall timeout to take the last
// report.
//
// Thread safety: reports, writes and cancellation come from threads of their
// own and meet under the mutex.

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
  // All but the request outlive the call.
  MigrateCall(CallRunner* runner, OutgoingMigrations* migrations,
              MigrationQueue* queue, const MigrationTargets* targets,
              grpc::CallbackServerContext* context, const grpc::ByteBuffer* in);

  void Start();

  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnCancel() override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Has the migration run when it may.
  absl::Status Queue();
  absl::StatusOr<PeerAddress> Target() const;
  // On a thread of its own; nothing of the migration is left when it returns.
  absl::Status Migrate(const PeerAddress& target) ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::unique_ptr<SourceSession>> MakeSession(
      const PeerAddress& target);
  void Post(const v1::MigrateDomainResponse& progress) ABSL_LOCKS_EXCLUDED(mu_);
  // The migration has ended; the call does once its last report has left.
  void End(const absl::Status& status) override ABSL_LOCKS_EXCLUDED(mu_);
  // Without its last report.
  void Stalled(const absl::Status& why) override;
  // What is due, if no write is in flight; to be done without the lock, since
  // the object may be gone once it has finished.
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
  bool watched_ ABSL_GUARDED_BY(mu_) = false;  // the write is
  // Whose turn it is to write or to finish may touch these.
  grpc::ByteBuffer write_;
  absl::Status outcome_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_MIGRATE_CALL_H_
