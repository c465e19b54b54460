// One migration at its source: copies the domain, hands it over, and reports
// progress.
//
// It is a chain of steps.  Run() does them all, on a thread for migrations,
// since it blocks while the target or the policy's bandwidth limit holds it
// back.  A caller that uses Step() can ask waits() what the next step would
// wait for.
//
//   step        does                                       waits for
//   kPrepare    turns the log of dirty pages on
//   kOffer      calls the target, offers the domain
//   kHead       sends what comes before the pages
//   kAdmitted   hears that there is room                   an answer
//   kPages      copies, pass by pass; suspends the guest
//   kPrepared   hears that the whole domain is there       an answer
//   kCommit     says that the target runs it from now on
//   kCommitted  hears that it does                         an answer
//   kSettle     after a failure: what became of the domain a question's answer
//
// Each wait is bounded, and an answer counts only after the message that asks
// for it; see PeerStream.  A target that stalls or misbehaves is treated as a
// broken link.  OutgoingMigrations holds the state of the migration and acts on
// the domain.
//
// Thread safety: thread-compatible; Cancel() may be called from any thread.

#ifndef SIMVISOR_SERVER_SESSIONS_SOURCE_SESSION_H_
#define SIMVISOR_SERVER_SESSIONS_SOURCE_SESSION_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "domain/migration/precopy.h"
#include "domain/vm/domain.h"
#include "server/machine/fault_injector.h"
#include "server/sessions/migration_progress.h"
#include "server/sessions/outgoing_migrations.h"
#include "server/sessions/peer.h"
#include "server/threads/clock.h"

namespace simvisor::server {

class SourceSession {
 public:
  struct Plan {
    std::string id;
    std::shared_ptr<Domain> domain;
    std::shared_ptr<const Peer> target;
    PrecopyPolicy policy;
    bool start_paused = false;
    std::string config;  // for the image's xl layer
    std::string source;  // the name by which the target lists this daemon
  };
  // All must outlive the session.
  struct Tools {
    OutgoingMigrations* migrations;
    FaultInjector* faults;
    Clock* clock;
    // The longest wait for the target to end the stream.
    Clock::Time::duration stall_timeout;
  };
  // Called about ten times a second, and on every change of phase.
  using Report = std::function<void(const MigrationProgress&)>;

  SourceSession(Plan plan, const Tools& tools, Report report);
  SourceSession(const SourceSession&) = delete;
  SourceSession& operator=(const SourceSession&) = delete;
  // If the session is not done, the domain stays as it is.
  ~SourceSession() = default;

  // Does every step.  OK once the migration is MOVED.  Otherwise an error of
  // MigrateDomain.
  absl::Status Run() ABSL_LOCKS_EXCLUDED(mu_);

  // Does the next step.
  // REQUIRES: not done().
  void Step() ABSL_LOCKS_EXCLUDED(mu_);
  bool done() const { return step_ == StepKind::kDone; }
  // The status that Run() returns.
  // REQUIRES: done().
  const absl::Status& outcome() const;
  // What the next step waits for.
  enum class Waits { kNothing, kAnswer, kQuestion };
  Waits waits() const;

  // Ends the migration with `why`.  If COMMIT has been sent, the target is
  // asked whether it committed, and its answer decides.
  void Cancel(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  enum class StepKind {
    kPrepare,
    kOffer,
    kHead,
    kAdmitted,
    kPages,
    kPrepared,
    kCommit,
    kCommitted,
    kSettle,
    kDone,
  };

  absl::Status Reach(FaultPoint point) {
    return tools_.faults->Reach(point, name_);
  }
  // Each does one step and sets the next one.
  absl::Status Go();
  absl::Status Prepare();
  absl::Status Offer();
  absl::Status SendHead();
  absl::Status TakeAdmitted();
  absl::Status SendPages();
  absl::Status TakePrepared();
  absl::Status Commit() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status TakeCommitted();
  void Settle();

  // Ends the stream, keeps or gives up the domain, and asks.
  void Fail(const absl::Status& why);
  void End(const absl::Status& outcome);
  absl::Status NextPass();
  // Whether all of piece_ has been sent.
  bool AllSent() const { return sent_ == piece_.size(); }
  // Fills piece_ with the next bytes, about as many as one message carries.
  absl::Status MakePieces();
  absl::Status MakePiece();
  // Sends the next message from piece_.  If `last` and nothing is left after
  // it, expects `answer`.
  absl::Status SendNext(TargetAnswer answer, bool last);
  // The most bytes that one message may carry: those of one second under the
  // bandwidth limit.
  size_t MaxChunkBytes() const;
  // Waits until the bandwidth allows more.
  absl::Status Pace() ABSL_LOCKS_EXCLUDED(mu_);

  absl::Status Write(const SourceMessage& message);
  absl::Status Flush();
  // Reads the expected answer into answer_.
  absl::Status Read();
  // Checks that COMMITTED names the domain that was sent.
  absl::Status CheckCommitted() const;
  // Ends the stream, if it is open, and returns how it ended.
  PeerStatus EndStream(Clock::Time::duration patience);
  // Ends the stream and returns why it broke.
  absl::Status Broken() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status CheckCancelled() const ABSL_LOCKS_EXCLUDED(mu_);
  bool IsCancelled() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return !cancelled_.ok();
  }
  void Enter(MigrationPhase phase);
  void ReportNow();

  // Constant after construction.
  const Plan plan_;
  const Tools tools_;
  const Report report_;
  const std::string name_;  // of the domain, at the start
  const std::string operation_;
  const std::unique_ptr<PeerStream> stream_;

  StepKind step_ = StepKind::kPrepare;
  bool streaming_ = false;  // opened, not ended
  bool admitted_ = false;
  std::unique_ptr<Precopy> precopy_;
  std::string piece_;
  size_t sent_ = 0;  // bytes of it
  TargetMessage answer_;
  MigrationProgress progress_;
  ProgressMeter meter_;
  Clock::Time reported_at_{};
  // After a failure: why, and what the migration was then.
  absl::Status failure_;
  OutgoingRecord record_;
  absl::Status outcome_;

  mutable absl::Mutex mu_;
  absl::Status cancelled_ ABSL_GUARDED_BY(mu_);
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SESSIONS_SOURCE_SESSION_H_
