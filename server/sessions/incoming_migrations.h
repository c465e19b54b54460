// The domains that are arriving at this daemon or have arrived, and what was
// decided about them.
//
// Each migration is in one state of the target's table in
// domain/migration/handover.h.  The state changes under the lock; the domain is
// run or destroyed after the lock is released.  So of two decisions one wins,
// and the other learns the outcome.
//
// A committed migration is remembered until its source acknowledges it.  If the
// source never does, it counts against Bounds::unacknowledged; the others whose
// calls have ended count against Bounds::ended.  Beyond a bound the oldest is
// forgotten.  Once a committed migration has been forgotten, a source that asks
// about an unknown id is not told "never heard of it", since it would then run
// the domain a second time.  It gets MIGRATION_SETTLED, which is not a final
// answer, and keeps asking until an operator decides.
//
// Names that sources give are made printable and truncated.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_SERVER_SESSIONS_INCOMING_MIGRATIONS_H_
#define SIMVISOR_SERVER_SESSIONS_INCOMING_MIGRATIONS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

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

// What is kept of a migration besides its state.
struct IncomingMigration {
  // Ends the call with a status that is not OK; does not wait.
  using Cancel = std::function<void(const absl::Status&)>;

  std::string source;
  bool start_paused = false;
  Cancel cancel;  // null once the call has ended
  bool acknowledged = false;
  DomainId domid{0};
  std::string name;
  // Set only in PREPARED, while a decision may still run or drop it.
  std::shared_ptr<Domain> domain;
};

class IncomingMigrations {
 public:
  struct Bounds {
    size_t receiving = 64;         // at a time
    size_t ended = 256;            // remembered after the call has ended
    size_t unacknowledged = 4096;  // committed and still remembered
  };
  using Cancel = IncomingMigration::Cancel;

  // The domain that leaves this daemon in a migration; null if it is not known.
  using FindLeaving =
      std::function<std::shared_ptr<const Domain>(absl::string_view id)>;

  // Waits on `clock`.  Both must outlive this object.  `find_leaving`, if
  // given, finds domains that migrate from this daemon to itself.
  IncomingMigrations(Machine* machine, Clock* clock)
      : IncomingMigrations(machine, clock, Bounds()) {}
  IncomingMigrations(Machine* machine, Clock* clock, const Bounds& bounds,
                     FindLeaving find_leaving = nullptr)
      : machine_(*machine),
        clock_(*clock),
        bounds_(bounds),
        find_leaving_(std::move(find_leaving)) {}

  // The domain that migration `id` moves away from this daemon, and so perhaps
  // here; null if no migration of that id is under way.
  std::shared_ptr<const Domain> Leaving(absl::string_view id) const {
    return find_leaving_ == nullptr ? nullptr : find_leaving_(id);
  }

  // Adds a migration in RECEIVING.  `cancel` ends the call that receives the
  // domain; it may be called until CallEnded().  FAILED_PRECONDITION
  // MIGRATION_SETTLED if the id is already known; RESOURCE_EXHAUSTED
  // CALLS_EXHAUSTED if too many are receiving.
  absl::Status Begin(absl::string_view id, absl::string_view source,
                     bool start_paused, Cancel cancel) ABSL_LOCKS_EXCLUDED(mu_);
  // Notes that the domain is complete and held.  If the migration has been
  // dropped meanwhile, destroys the domain and returns FAILED_PRECONDITION
  // MIGRATION_SETTLED.
  absl::Status Arrived(absl::string_view id, std::shared_ptr<Domain> domain)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Notes that the call has ended and has freed everything it held.
  void CallEnded(absl::string_view id) ABSL_LOCKS_EXCLUDED(mu_);
  // Does what `event` asks for and returns the record that results.  An event
  // without a line in the table does nothing.  If it drops a domain that is
  // still arriving, cancels the call and waits a short while for it to end.
  // NOT_FOUND MIGRATION_NOT_FOUND if the id is unknown; FAILED_PRECONDITION
  // MIGRATION_SETTLED if a source asks about one that may have been committed
  // and forgotten.
  absl::StatusOr<IncomingRecord> Decide(absl::string_view id, TargetEvent event)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Notes that the source knows of the commit.
  void Acknowledge(absl::string_view id) ABSL_LOCKS_EXCLUDED(mu_);

  // The first `limit` records, starting at `from`.  A migration is shown as
  // COMMITTED or DROPPED once its domain runs or is gone.
  PlacedRecords<TargetState> List(const MigrationPlace& from,
                                  size_t limit) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Ledger = MigrationLedger<TargetState, IncomingMigration>;

  void Run(const std::shared_ptr<Domain>& domain, bool start_paused);
  void Drop(const std::shared_ptr<Domain>& domain);
  absl::Status Unknown(absl::string_view id, TargetEvent event) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Forgets the oldest that have ended, beyond bounds_.
  void ForgetOld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AwaitEndOfCall(absl::string_view id) ABSL_LOCKS_EXCLUDED(mu_);
  static IncomingRecord RecordOf(absl::string_view id, const Ledger::Row& row);

  Machine& machine_;
  Clock& clock_;
  const Bounds bounds_;
  const FindLeaving find_leaving_;

  mutable absl::Mutex mu_;
  Ledger ledger_ ABSL_GUARDED_BY(mu_);
  // A migration that was committed has been forgotten.
  bool forgot_committed_ ABSL_GUARDED_BY(mu_) = false;
  int waiters_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SESSIONS_INCOMING_MIGRATIONS_H_
