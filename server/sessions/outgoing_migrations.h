// The domains that leave this daemon, or have left, and who runs them.
//
// Each migration is in one state of the source's table in
// domain/migration/handover.h.  Only this object moves it, and with it does to
// the domain what the table says: so whatever becomes of the call that migrates
// it, the domain is right.
//
// Targets of those that are UNKNOWN, and of those that were KEPT after their
// target had the domain, are asked until they answer: after 1 s, 2 s, 4 s, ...
// and then every 30 s.  AskDue() does not wait for answers, and asks only so
// many questions of one target at a time, so that one that is silent delays
// nobody but itself.
//
// The last 256 that have ended are remembered, and the last 256 whose target is
// still to be told: beyond them, the oldest is given up.  Its target was never
// told to run the domain, so that it needs an operator to run it all the same.
//
// Thread safety: thread-safe.  Domains are used without the own lock.

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

// What is kept of one beside its state.
struct OutgoingMigration {
  std::shared_ptr<const Peer> target;
  std::string why;
  bool must_tell = false;  // the target may hold a copy that must go
  DomainId domid{0};
  std::string name;
  std::shared_ptr<Domain> domain;  // null once it has ended
  uint64_t suspension = 0;         // 0 if it has not come to it
  // While it is open: when to ask, and how long after that again.
  Clock::Time ask_at{};
  Clock::Time::duration ask_again{};
};

class OutgoingMigrations {
 public:
  // Asks by `clock`, and does on `answers` what follows from answers, which may
  // last.  All outlive this object.
  OutgoingMigrations(Machine* machine, Clock* clock, Executor answers);
  OutgoingMigrations(const OutgoingMigrations&) = delete;
  OutgoingMigrations& operator=(const OutgoingMigrations&) = delete;
  // Stop(), then waits until nothing is being asked.  Domains that are UNKNOWN
  // stay suspended.
  ~OutgoingMigrations();

  // Begins with COPYING.  FAILED_PRECONDITION MIGRATION_SETTLED if the id is
  // known already.
  absl::Status Begin(absl::string_view id, std::shared_ptr<Domain> domain,
                     std::shared_ptr<const Peer> target)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The migration has suspended its guest.  From now on the target may have the
  // whole domain, so that it must be told if the domain is kept.
  void Suspended(absl::string_view id, uint64_t suspension)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Notes an event, does to the domain what follows, and answers what the
  // migration is then.  `why` is for people.  NOT_FOUND MIGRATION_NOT_FOUND;
  // for kPrepared what Domain::BeginHandover() says, and then nothing has
  // changed.
  absl::StatusOr<OutgoingRecord> Note(absl::string_view id, SourceEvent event,
                                      absl::string_view why = "")
      ABSL_LOCKS_EXCLUDED(mu_);

  // Asks the target at once if the migration is open and is not being asked
  // about.
  void StartAsking(absl::string_view id) ABSL_LOCKS_EXCLUDED(mu_);
  // Whether a question about it is under way.
  bool IsAsking(absl::string_view id) const ABSL_LOCKS_EXCLUDED(mu_);
  // Waits, for a few seconds, until none is.  Answers what the migration is
  // then; nullopt if it is forgotten.
  std::optional<OutgoingRecord> AwaitAnswer(absl::string_view id) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Asks all questions that are due, and answers when the next one is;
  // Time::max() if there is none.
  Clock::Time AskDue() ABSL_LOCKS_EXCLUDED(mu_);
  // Asks whenever it is time, until Stop().
  void AskUntilStopped() ABSL_LOCKS_EXCLUDED(mu_);
  // Asks nothing any more, and cancels the questions that are under way.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

  // Whether the migration waits for a decision.
  bool IsUnknown(absl::string_view id) const ABSL_LOCKS_EXCLUDED(mu_);
  // The first `limit` from `from` on.
  PlacedRecords<SourceState> List(const MigrationPlace& from,
                                  size_t limit) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Ledger = MigrationLedger<SourceState, OutgoingMigration>;
  struct Question {
    std::shared_ptr<const Peer> target;
    std::shared_ptr<PeerQuestion> asked;  // null until it is
  };
  struct Due {
    std::string id;
    std::shared_ptr<const Peer> target;
  };

  // What of the domain an event asks for before it is noted.
  absl::Status Prepare(absl::string_view id, SourceEvent event)
      ABSL_LOCKS_EXCLUDED(mu_);
  static void NoteWhy(absl::string_view id, SourceEvent event,
                      absl::string_view why, Ledger::Row& row);
  // Does to the domain what coming to `state` means.
  void Act(const std::shared_ptr<Domain>& domain, uint64_t suspension,
           SourceState state);
  static bool IsOpen(const Ledger::Row& row) {
    return row.state == SourceState::kUnknown ||
           (row.state == SourceState::kKept && row.entry.must_tell);
  }
  // Has it asked a while after now for the first time.
  static void Open(OutgoingMigration& entry, Clock::Time now);
  bool HasNews() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return news_ || stopping_;
  }
  bool IsIdle() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return asking_.empty();
  }
  // Takes those that are due, which are asked from then on, and lowers *next to
  // when another one is.
  std::vector<Due> TakeDue(Clock::Time* next)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // REQUIRES: it stands in asking_, without its question.
  void Ask(const Due& due) ABSL_LOCKS_EXCLUDED(mu_);
  // On the executor.
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
  // Something has changed that may have to be asked about.
  bool news_ ABSL_GUARDED_BY(mu_) = false;
  // Questions under way, to be cancelled at the end.
  absl::btree_map<std::string, Question> asking_ ABSL_GUARDED_BY(mu_);
};

// The thread that asks.
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
