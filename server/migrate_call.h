// One MigrateDomain call: starts a MigrationSource and streams its progress.
//
// The source runs on the pool for migrations, since it waits; its reports are
// written as fast as the client reads, the latest one each time.  A call that
// is cancelled, or runs out of time, cancels the migration; the call ends when
// the migration has.
//
// Thread safety: reports, writes and cancellation come from threads of their
// own and meet under the mutex.

#ifndef SIMVISOR_SERVER_MIGRATE_CALL_H_
#define SIMVISOR_SERVER_MIGRATE_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "domain/host/host.h"
#include "server/call_limits.h"
#include "server/call_record.h"
#include "server/call_runner.h"
#include "server/migration_source.h"
#include "server/outgoing_migrations.h"
#include "server/raw_message.h"
#include "server/raw_service.h"
#include "server/worker_pool.h"
#include "simvisor/v1/live_migration.pb.h"

namespace simvisor::server {

class MigrateCall : public RawWriteReactor {
 public:
  using Reactor = RawWriteReactor;

  // `pool` runs nothing but migrations.  All but the request outlive the call.
  MigrateCall(Host* host, CallRunner* runner, OutgoingMigrations* migrations,
              WorkerPool* pool, const grpc::CallbackServerContext* context,
              const grpc::ByteBuffer* in);

  void Start();

  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnCancel() override ABSL_LOCKS_EXCLUDED(mu_);
  void OnDone() override { delete this; }

 private:
  // On the pool; nothing of the migration is left when it returns.
  absl::Status Migrate() ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<MigrationSource::Plan> MakePlan() const;
  void Post(const v1::MigrateDomainResponse& progress) ABSL_LOCKS_EXCLUDED(mu_);
  void End(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  // What is due, if no write is in flight; to be done without the lock, since
  // the object may be gone once it has finished.
  enum class Due { kNothing, kWrite, kFinish };
  Due TakeDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Do(Due due);

  Host* const host_;
  CallRunner* const runner_;
  OutgoingMigrations* const migrations_;
  WorkerPool* const pool_;
  const CallLimits limits_;
  const CallRecord record_;
  const grpc::ByteBuffer* const in_;
  TakenMessage<v1::MigrateDomainRequest> request_;

  absl::Mutex mu_;
  // Set while the migration runs.
  MigrationSource* source_ ABSL_GUARDED_BY(mu_) = nullptr;
  std::optional<v1::MigrateDomainResponse> waiting_ ABSL_GUARDED_BY(mu_);
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  // Whose turn it is to write or to finish may touch these.
  grpc::ByteBuffer write_;
  absl::Status outcome_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATE_CALL_H_
