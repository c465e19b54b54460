// The domains that leave this daemon, or have left, and who runs them.
//
// Each migration is in one state of the source's table in
// domain/migration/handover.h.  Only this object moves it, and with it does to
// the domain what the table says: so whatever becomes of the call that migrates
// it, the domain is right.
//
// A thread of its own asks the targets of those that are UNKNOWN, and of those
// that were KEPT after their target had the domain, until they answer: after 1
// s, 2 s, 4 s, ... and then every 30 s.  It does not wait for answers, and asks
// only so many questions of one target at a time, so that one that is silent
// delays nobody but itself.
//
// The last 256 that have ended are remembered, and the last 256 whose target is
// still to be told: beyond them, the oldest is given up.  Its target was never
// told to run the domain, so that it needs an operator to run it all the same.
//
// Thread safety: thread-safe.  Domains are used without the own lock.

#ifndef SIMVISOR_SERVER_MIGRATION_OUTGOING_MIGRATIONS_H_
#define SIMVISOR_SERVER_MIGRATION_OUTGOING_MIGRATIONS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
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
#include "server/calls/call_runner.h"
#include "server/migration/migration_pages.h"
#include "server/migration/peer.h"
#include "server/migration/peer_address.h"
#include "server/threads/clock.h"
#include "simvisor/v1/live_migration.pb.h"

namespace simvisor::server {

class OutgoingMigrations {
 public:
  // Starts the thread.  `runner` outlives this object.
  explicit OutgoingMigrations(CallRunner* runner);
  OutgoingMigrations(const OutgoingMigrations&) = delete;
  OutgoingMigrations& operator=(const OutgoingMigrations&) = delete;
  // Stops asking, and waits until nothing is being asked.  Domains that are
  // UNKNOWN stay suspended.
  ~OutgoingMigrations();

  // Begins with COPYING.  FAILED_PRECONDITION MIGRATION_SETTLED if the id is
  // known already.
  absl::Status Begin(absl::string_view id, std::shared_ptr<Domain> domain,
                     const PeerAddress& target) ABSL_LOCKS_EXCLUDED(mu_);
  // The migration has suspended its guest.  From now on the target may have the
  // whole domain, so that it must be told if the domain is kept.
  void Suspended(absl::string_view id, uint64_t suspension)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Notes an event, does to the domain what follows, and answers what the
  // migration is then.  `why` is for people.  NOT_FOUND MIGRATION_NOT_FOUND;
  // for kPrepared what Domain::BeginHandover() says, and then nothing has
  // changed.
  absl::StatusOr<v1::Migration> Note(absl::string_view id, SourceEvent event,
                                     absl::string_view why = "")
      ABSL_LOCKS_EXCLUDED(mu_);
  // If `now`, which Note() has answered, is open, asks the target at once and
  // waits for its answer for a few seconds.  Answers what the migration is
  // then.
  v1::Migration AskNow(const v1::Migration& now) ABSL_LOCKS_EXCLUDED(mu_);

  // Whether the migration waits for a decision.
  bool IsUnknown(absl::string_view id) const ABSL_LOCKS_EXCLUDED(mu_);
  // The first `limit` from `from` on.
  std::vector<std::pair<MigrationPlace, v1::Migration>> List(
      const MigrationPlace& from, size_t limit) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Duration = Clock::Time::duration;

  struct Entry {
    uint64_t number = 0;  // in the order of beginning
    SourceState state = SourceState::kCopying;
    std::optional<PeerAddress> target;
    std::string why;
    bool must_tell = false;  // the target may hold a copy that must go
    DomainId domid{0};
    std::string name;
    std::shared_ptr<Domain> domain;  // null once it has ended
    uint64_t suspension = 0;         // 0 if it has not come to it
    uint64_t end_number = 0;         // in the order of ending
    // While it is open: when to ask, and how long after that again.
    Clock::Time ask_at{};
    Duration ask_again{};
  };
  struct Question {
    PeerAddress target;
    std::shared_ptr<PeerQuestion> asked;  // null until it is
  };
  struct Due {
    std::string id;
    PeerAddress target;
  };

  // What of the domain an event asks for before it is noted.
  absl::Status Prepare(absl::string_view id, SourceEvent event)
      ABSL_LOCKS_EXCLUDED(mu_);
  static void NoteWhy(const std::string& id, SourceEvent event,
                      absl::string_view why, Entry& entry);
  // Does to the domain what coming to `state` means.
  void Act(const std::shared_ptr<Domain>& domain, uint64_t suspension,
           SourceState state);
  static bool IsOpen(const Entry& entry) {
    return entry.state == SourceState::kUnknown ||
           (entry.state == SourceState::kKept && entry.must_tell);
  }
  // Has it asked a while after now for the first time.
  static void Open(Entry& entry, Clock::Time now);
  bool HasNews() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return news_ || stopping_;
  }
  bool IsIdle() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return asking_.empty();
  }
  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  // Those to ask now; empty at the end.
  std::vector<Due> AwaitQuestions() ABSL_LOCKS_EXCLUDED(mu_);
  // Takes those that are due, which are asked from then on, and lowers *next to
  // when another one is.
  std::vector<Due> TakeDue(Clock::Time* next)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // REQUIRES: it stands in asking_, without its question.
  void Ask(const Due& due) ABSL_LOCKS_EXCLUDED(mu_);
  // On the pool.
  void TakeAnswer(const std::string& id,
                  const absl::StatusOr<SourceEvent>& answer)
      ABSL_LOCKS_EXCLUDED(mu_);
  void ForgetOld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static v1::Migration ToProto(const std::string& id, const Entry& entry);

  CallRunner* const runner_;
  Clock* const clock_ = SystemClock();

  mutable absl::Mutex mu_;
  absl::btree_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mu_);
  uint64_t next_number_ ABSL_GUARDED_BY(mu_) = 1;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // Something has changed that the thread may have to act on.
  bool news_ ABSL_GUARDED_BY(mu_) = false;
  // Questions under way, to be cancelled at the end.
  absl::btree_map<std::string, Question> asking_ ABSL_GUARDED_BY(mu_);

  std::thread thread_;  // constant after construction
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_OUTGOING_MIGRATIONS_H_
