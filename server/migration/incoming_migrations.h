// The domains that come to this daemon, or have come, and what was decided.
//
// Each migration is in one state of the target's table in
// domain/migration/handover.h.  The state changes under the lock, and what
// follows for the domain is done after it: so of two decisions one wins, and
// the other learns what it was.
//
// One that was committed is remembered until its source has said that it knows,
// and of those whose source never does, the last ones are; so are the last ones
// of the others whose calls have ended.  Once a committed one was forgotten, a
// source that asks for an unknown one is not told that it was never heard of,
// since that would make two of the domain: it hears MIGRATION_SETTLED, which is
// no answer, and asks on until an operator decides.
//
// Names that sources give are made printable and cut.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_SERVER_MIGRATION_INCOMING_MIGRATIONS_H_
#define SIMVISOR_SERVER_MIGRATION_INCOMING_MIGRATIONS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "domain/migration/handover.h"
#include "domain/vm/domain.h"
#include "server/machine/machine.h"
#include "server/migration/migration_pages.h"
#include "simvisor/v1/live_migration.pb.h"

namespace simvisor::server {

class IncomingMigrations {
 public:
  struct Bounds {
    size_t receiving = 64;         // at a time
    size_t ended = 256;            // that are remembered
    size_t unacknowledged = 4096;  // committed ones that are remembered
  };
  // Ends a call with a status that is not OK; does not wait.
  using Cancel = std::function<void(const absl::Status&)>;

  // `machine` outlives this object.
  explicit IncomingMigrations(Machine* machine)
      : IncomingMigrations(machine, Bounds()) {}
  IncomingMigrations(Machine* machine, const Bounds& bounds)
      : machine_(*machine), bounds_(bounds) {}

  // Begins with RECEIVING.  `cancel` ends the call that it comes in by; it may
  // be called until CallEnded().  FAILED_PRECONDITION MIGRATION_SETTLED if the
  // id is known already; RESOURCE_EXHAUSTED CALLS_EXHAUSTED.
  absl::Status Begin(absl::string_view id, absl::string_view source,
                     bool start_paused, Cancel cancel) ABSL_LOCKS_EXCLUDED(mu_);
  // The domain is whole, and held.  It goes, and the call fails, if it has been
  // dropped meanwhile (MIGRATION_SETTLED).
  absl::Status Arrived(absl::string_view id, std::shared_ptr<Domain> domain)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The call has ended, and all that it held is gone.
  void CallEnded(absl::string_view id) ABSL_LOCKS_EXCLUDED(mu_);
  // Does what `event` asks for and answers what the migration is then.  An
  // event that the table has no line for does nothing.  If that drops a domain
  // that is coming in, its call is cancelled, and its end is waited for for a
  // while.  NOT_FOUND MIGRATION_NOT_FOUND; FAILED_PRECONDITION
  // MIGRATION_SETTLED if it may have been committed and forgotten.
  absl::StatusOr<v1::Migration> Decide(absl::string_view id, TargetEvent event)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The source knows that it was committed.
  void Acknowledge(absl::string_view id) ABSL_LOCKS_EXCLUDED(mu_);

  // The first `limit` from `from` on.
  std::vector<std::pair<MigrationPlace, v1::Migration>> List(
      const MigrationPlace& from, size_t limit) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Entry {
    uint64_t number = 0;      // in the order of beginning
    uint64_t end_number = 0;  // in the order of calls' ends
    TargetState state = TargetState::kReceiving;
    std::string source;
    bool start_paused = false;
    Cancel cancel;  // null once the call has ended
    bool acknowledged = false;
    DomainId domid{0};
    std::string name;
    // While there is something to do with it: prepared alone.
    std::shared_ptr<Domain> domain;
  };

  void Run(const std::shared_ptr<Domain>& domain, bool start_paused);
  void Drop(const std::shared_ptr<Domain>& domain);
  absl::Status Unknown(absl::string_view id, TargetEvent event) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Forgets the oldest of too many that have ended.
  void ForgetOld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AwaitEndOfCall(absl::string_view id) ABSL_LOCKS_EXCLUDED(mu_);
  static v1::Migration ToProto(const std::string& id, const Entry& entry);

  Machine& machine_;
  const Bounds bounds_;

  mutable absl::Mutex mu_;
  absl::btree_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mu_);
  uint64_t next_number_ ABSL_GUARDED_BY(mu_) = 1;
  // One that was committed is no longer remembered.
  bool forgot_committed_ ABSL_GUARDED_BY(mu_) = false;
  int waiters_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_INCOMING_MIGRATIONS_H_
