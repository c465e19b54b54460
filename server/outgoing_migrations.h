// The domains that leave this daemon, or have left, and who runs them.
//
// Each migration is in one state of the source's table in
// domain/migration/handover.h.  Only this object moves it, and with it does to
// the domain what the table says: so whatever becomes of the call that migrates
// it, the domain is right.
//
// A thread of its own asks the targets of those that are UNKNOWN, and of those
// that were KEPT after their target had the domain, every second until they
// answer.  The last 256 that have ended are remembered.
//
// Thread safety: thread-safe.  Domains are used without the own lock.

#ifndef SIMVISOR_SERVER_OUTGOING_MIGRATIONS_H_
#define SIMVISOR_SERVER_OUTGOING_MIGRATIONS_H_

#include <grpcpp/client_context.h>

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
#include "domain/host/host.h"
#include "domain/migration/handover.h"
#include "server/call_runner.h"
#include "server/clock.h"
#include "simvisor/v1/live_migration.pb.h"

namespace simvisor::server {

class OutgoingMigrations {
 public:
  // Starts the thread.  Host and runner outlive this object.
  OutgoingMigrations(Host* host, CallRunner* runner);
  OutgoingMigrations(const OutgoingMigrations&) = delete;
  OutgoingMigrations& operator=(const OutgoingMigrations&) = delete;
  // Stops asking.  Domains that are UNKNOWN stay suspended.
  ~OutgoingMigrations();

  // Begins with COPYING.  FAILED_PRECONDITION MIGRATION_SETTLED if the id is
  // known already.
  absl::Status Begin(absl::string_view id, std::shared_ptr<Domain> domain,
                     absl::string_view target) ABSL_LOCKS_EXCLUDED(mu_);
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
  // Appends all, in the order in which they began.
  void List(v1::ListMigrationsResponse& out) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Entry {
    uint64_t number = 0;  // in the order of beginning
    SourceState state = SourceState::kCopying;
    std::string target;
    std::string why;
    bool must_tell = false;  // the target may hold a copy that must go
    DomainId domid{0};
    std::string name;
    std::shared_ptr<Domain> domain;  // null once it has ended
    uint64_t suspension = 0;         // 0 if it has not come to it
    uint64_t end_number = 0;         // in the order of ending
  };
  struct Question {
    std::string id;
    std::string target;
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
  bool HasOpen() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  bool IsStopping() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return stopping_; }
  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  // Those to ask now; empty at the end.
  std::vector<Question> AwaitQuestions() ABSL_LOCKS_EXCLUDED(mu_);
  void Ask(const Question& question) ABSL_LOCKS_EXCLUDED(mu_);
  void ForgetOld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static v1::Migration ToProto(const std::string& id, const Entry& entry);

  Host* const host_;
  CallRunner* const runner_;

  mutable absl::Mutex mu_;
  absl::btree_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mu_);
  uint64_t next_number_ ABSL_GUARDED_BY(mu_) = 1;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // Questions under way, to be cancelled at the end.
  absl::btree_map<std::string, grpc::ClientContext*> asking_
      ABSL_GUARDED_BY(mu_);

  std::thread thread_;  // constant after construction
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_OUTGOING_MIGRATIONS_H_
