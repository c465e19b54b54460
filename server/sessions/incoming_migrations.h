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

#ifndef SIMVISOR_SERVER_SESSIONS_INCOMING_MIGRATIONS_H_
#define SIMVISOR_SERVER_SESSIONS_INCOMING_MIGRATIONS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "domain/migration/handover.h"
#include "domain/vm/domain.h"
#include "server/machine/machine.h"
#include "server/sessions/migration_ledger.h"
#include "server/sessions/migration_record.h"
#include "server/threads/clock.h"

namespace simvisor::server {

// What is kept of one beside its state.
struct IncomingMigration {
  // Ends a call with a status that is not OK; does not wait.
  using Cancel = std::function<void(const absl::Status&)>;

  std::string source;
  bool start_paused = false;
  Cancel cancel;  // null once the call has ended
  bool acknowledged = false;
  DomainId domid{0};
  std::string name;
  // Set while there is something to do with it, which is when it is PREPARED.
  std::shared_ptr<Domain> domain;
};

class IncomingMigrations {
 public:
  struct Bounds {
    size_t receiving = 64;         // at a time
    size_t ended = 256;            // that are remembered
    size_t unacknowledged = 4096;  // committed ones that are remembered
  };
  using Cancel = IncomingMigration::Cancel;

  // Waits by `clock`.  Both outlive this object.
  IncomingMigrations(Machine* machine, Clock* clock)
      : IncomingMigrations(machine, clock, Bounds()) {}
  IncomingMigrations(Machine* machine, Clock* clock, const Bounds& bounds)
      : machine_(*machine), clock_(*clock), bounds_(bounds) {}

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
  absl::StatusOr<IncomingRecord> Decide(absl::string_view id, TargetEvent event)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The source knows that it was committed.
  void Acknowledge(absl::string_view id) ABSL_LOCKS_EXCLUDED(mu_);

  // The first `limit` from `from` on.
  PlacedRecords<TargetState> List(const MigrationPlace& from,
                                  size_t limit) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Ledger = MigrationLedger<TargetState, IncomingMigration>;

  void Run(const std::shared_ptr<Domain>& domain, bool start_paused);
  void Drop(const std::shared_ptr<Domain>& domain);
  absl::Status Unknown(absl::string_view id, TargetEvent event) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Forgets the oldest of too many that have ended.
  void ForgetOld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AwaitEndOfCall(absl::string_view id) ABSL_LOCKS_EXCLUDED(mu_);
  static IncomingRecord RecordOf(absl::string_view id, const Ledger::Row& row);

  Machine& machine_;
  Clock& clock_;
  const Bounds bounds_;

  mutable absl::Mutex mu_;
  Ledger ledger_ ABSL_GUARDED_BY(mu_);
  // One that was committed is no longer remembered.
  bool forgot_committed_ ABSL_GUARDED_BY(mu_) = false;
  int waiters_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SESSIONS_INCOMING_MIGRATIONS_H_
