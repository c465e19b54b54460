// The domains that are leaving this daemon or have left, and which side runs
// them.
//
// Each migration is in one state of the source's table in
// domain/migration/handover.h.  Only this object changes the state, and it then
// does to the domain what the table says.  So the domain is in the right state
// however the call that migrates it ends.
//
// A migration is open while it is UNKNOWN, or KEPT although its target may hold
// the domain.  The target of an open one is asked until it answers: after 1 s,
// 2 s, 4 s, ... and then every 30 s.  AskDue() does not wait for answers, and
// asks one target only a few questions at a time, so a silent target delays
// only its own migrations.
//
// Remembers the last 256 that have ended, and the last 256 KEPT ones whose
// target has not yet been told; beyond that it gives up the oldest.  The target
// of such a one never received COMMIT, so it runs the domain only if an
// operator tells it to.
//
// Thread safety: thread-safe.  Never locks a domain while holding its own lock.

#ifndef SIMVISOR_SERVER_SESSIONS_OUTGOING_MIGRATIONS_H_
#define SIMVISOR_SERVER_SESSIONS_OUTGOING_MIGRATIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
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
#include "server/sessions/migration_ledger.h"
#include "server/sessions/migration_record.h"
#include "server/sessions/peer.h"
#include "server/threads/clock.h"
#include "server/threads/executor.h"

namespace simvisor::server {

// What is kept of a migration besides its state.
struct OutgoingMigration {
  std::shared_ptr<const Peer> target;
  std::string why;
  bool must_tell = false;  // the target may hold a copy that must go
  DomainId domid{0};
  std::string name;
  std::shared_ptr<Domain> domain;  // null once it has ended
  uint64_t suspension = 0;         // 0 before the guest is suspended
  // While it is open: when to ask, and how long to wait before asking again.
  Clock::Time ask_at{};
  Clock::Time::duration ask_again{};
};

class OutgoingMigrations {
 public:
  // Schedules questions by `clock`, and handles their answers on `answers`,
  // since that may take long.  All must outlive this object.
  OutgoingMigrations(Machine* machine, Clock* clock, Executor answers);
  OutgoingMigrations(const OutgoingMigrations&) = delete;
  OutgoingMigrations& operator=(const OutgoingMigrations&) = delete;
  // Calls Stop() and waits until all questions have ended.  Domains whose
  // migration is UNKNOWN stay suspended.
  ~OutgoingMigrations();

  // Adds a migration in COPYING.  FAILED_PRECONDITION MIGRATION_SETTLED if the
  // id is already known.
  absl::Status Begin(absl::string_view id, std::shared_ptr<Domain> domain,
                     std::shared_ptr<const Peer> target)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Notes that the migration has suspended its guest.  From now on the target
  // may hold the whole domain, so it must be told if the domain is kept.
  void Suspended(absl::string_view id, uint64_t suspension)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Notes an event, does to the domain what the table says, and returns the
  // record that results.  `why` is for people.  NOT_FOUND MIGRATION_NOT_FOUND
  // if the id is unknown; for kPrepared also the errors of
  // DomainMigration::BeginHandover(), after which nothing has changed.
  absl::StatusOr<OutgoingRecord> Note(absl::string_view id, SourceEvent event,
                                      absl::string_view why = "")
      ABSL_LOCKS_EXCLUDED(mu_);

  // Asks the target at once, if the migration is open and no question about it
  // is under way.
  void StartAsking(absl::string_view id) ABSL_LOCKS_EXCLUDED(mu_);
  // Whether a question about it is under way.
  bool IsAsking(absl::string_view id) const ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until the question about it, if any, has ended, which takes a few
  // seconds at most.  Returns the record that results; nullopt if the migration
  // has been forgotten.
  std::optional<OutgoingRecord> AwaitAnswer(absl::string_view id) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Asks all questions that are due.  Returns when the next one is due;
  // Time::max() if there is none.
  Clock::Time AskDue() ABSL_LOCKS_EXCLUDED(mu_);
  // Asks each question when it is due, until Stop().
  void AskUntilStopped() ABSL_LOCKS_EXCLUDED(mu_);
  // Stops asking and cancels the questions under way.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

  // Whether the migration is UNKNOWN, and so waits for an answer or an
  // operator.
  bool IsUnknown(absl::string_view id) const ABSL_LOCKS_EXCLUDED(mu_);
  // The domain of a migration that has not ended; null if it has, or is not
  // known.
  std::shared_ptr<const Domain> FindDomain(absl::string_view id) const
      ABSL_LOCKS_EXCLUDED(mu_);
  // The first `limit` records, starting at `from`.  A migration is shown as
  // MOVED or KEPT once its domain is gone or runs again.
  PlacedRecords<SourceState> List(const MigrationPlace& from,
                                  size_t limit) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Ledger = MigrationLedger<SourceState, OutgoingMigration>;
  struct Question {
    std::shared_ptr<const Peer> target;
    std::shared_ptr<PeerQuestion> asked;  // null until it is asked
  };
  struct Due {
    std::string id;
    std::shared_ptr<const Peer> target;
  };

  // Does what an event needs of the domain before it is noted.
  absl::Status Prepare(absl::string_view id, SourceEvent event)
      ABSL_LOCKS_EXCLUDED(mu_);
  static void NoteWhy(absl::string_view id, SourceEvent event,
                      absl::string_view why, Ledger::Row& row);
  // Does to the domain what entering `state` requires; `target` is where it has
  // moved.
  void Act(const std::shared_ptr<Domain>& domain, uint64_t suspension,
           SourceState state, const std::string& target);
  static bool IsOpen(const Ledger::Row& row) {
    return row.state == SourceState::kUnknown ||
           (row.state == SourceState::kKept && row.entry.must_tell);
  }
  // Schedules the first question, a while after `now`.
  static void Open(OutgoingMigration& entry, Clock::Time now);
  bool HasNews() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return news_ || stopping_;
  }
  bool IsIdle() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return asking_.empty();
  }
  // Marks the questions that are due as under way and returns them.  Lowers
  // *next to the time at which another one is due.
  std::vector<Due> TakeDue(Clock::Time* next)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // REQUIRES: asking_ holds the id, without its question.
  void Ask(const Due& due) ABSL_LOCKS_EXCLUDED(mu_);
  // Runs on the executor.
  void TakeAnswer(const std::string& id,
                  const absl::StatusOr<SourceEvent>& answer)
      ABSL_LOCKS_EXCLUDED(mu_);
  void ForgetOld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static OutgoingRecord RecordOf(absl::string_view id, const Ledger::Row& row);

  Machine& machine_;
  Clock& clock_;
  const Executor answers_;

  mutable absl::Mutex mu_;
  Ledger ledger_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // Something has changed since the last AskDue(), so questions may be due.
  bool news_ ABSL_GUARDED_BY(mu_) = false;
  // Questions under way; Stop() cancels them.
  absl::btree_map<std::string, Question> asking_ ABSL_GUARDED_BY(mu_);
};

// The thread that asks the questions.
class AskingThread {
 public:
  // `migrations` outlives this object.
  explicit AskingThread(OutgoingMigrations* migrations)
      : migrations_(*migrations),
        thread_([migrations] { migrations->AskUntilStopped(); }) {}
  AskingThread(const AskingThread&) = delete;
  AskingThread& operator=(const AskingThread&) = delete;
  // Stops the asking.
  ~AskingThread() {
    migrations_.Stop();
    thread_.join();
  }

 private:
  OutgoingMigrations& migrations_;
  std::thread thread_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SESSIONS_OUTGOING_MIGRATIONS_H_
