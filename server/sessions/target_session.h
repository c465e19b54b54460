// One migration at its target: receives the domain, and runs it on COMMIT.
//
//   step         takes     and says
//   kOffer       an offer
//   kReceiving   data      ADMITTED once there is room; PREPARED at the end of
//                          the stream, then kPrepared
//   kPrepared    COMMIT    COMMITTED, then kCommitted
//   kCommitted   DONE      nothing: that is the end
//
// IncomingMigrations holds the state of the migration; End() tells it if the
// call fails.  A decision that drops the domain while it is arriving interrupts
// the call.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_SERVER_SESSIONS_TARGET_SESSION_H_
#define SIMVISOR_SERVER_SESSIONS_TARGET_SESSION_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/image/image_restorer.h"
#include "domain/units/operation.h"
#include "domain/vm/domain.h"
#include "server/machine/fault_points.h"
#include "server/machine/machine.h"
#include "server/sessions/incoming_migrations.h"
#include "server/sessions/messages.h"

namespace simvisor::server {

class TargetSession {
 public:
  // `spec` reads the configuration in the image.  `interrupt` ends the call; it
  // may be called from any thread between the offer and End().  `machine` and
  // `migrations` must outlive the session.
  TargetSession(Machine* machine, IncomingMigrations* migrations,
                ImageRestorer::SpecSource spec,
                IncomingMigrations::Cancel interrupt);
  TargetSession(const TargetSession&) = delete;
  TargetSession& operator=(const TargetSession&) = delete;
  // REQUIRES: End() was called.
  ~TargetSession();

  // What the call must do next: read a message, write answer(), or end with OK.
  enum class Next { kRead, kAnswer, kEnd };

  // Handles a message, unless `over` says that the call has ended.  The call
  // must end with the errors, which are those of ReceiveDomain.
  absl::StatusOr<Next> Take(const SourceMessage& message, StopCheck over);
  // Call when answer() has been written.
  absl::StatusOr<Next> Sent();
  // Frees what was received of a domain that is not complete, and tells
  // IncomingMigrations.  Call it once, as the last call, before the source
  // learns `status`.
  void End(const absl::Status& status);

  // Whether the offer was taken.
  bool has_offer() const { return !id_.empty(); }
  TargetAnswer answer() const { return answer_; }
  // The domain, from PREPARED to End().
  const std::shared_ptr<Domain>& domain() const { return domain_; }

 private:
  enum class Step { kOffer, kReceiving, kPrepared, kCommitted, kEnded };

  absl::Status Reach(FaultPoint point) {
    return machine_.faults().Reach(point, name_);
  }
  absl::Status Handle(const SourceMessage& message, StopCheck over);
  absl::Status TakeOffer(const OfferMessage& offer);
  absl::Status TakeData(absl::string_view bytes, StopCheck over);
  absl::Status Arrive();
  absl::Status TakeCommit();
  // Checks that the message is the one that is due.
  absl::Status CheckPlace(const SourceMessage& message) const;

  Machine& machine_;
  IncomingMigrations& migrations_;
  const ImageRestorer::SpecSource spec_;
  const IncomingMigrations::Cancel interrupt_;

  Step step_ = Step::kOffer;
  std::string id_;  // empty until the offer is taken
  std::string name_;
  bool admitted_ = false;
  TargetAnswer answer_ = TargetAnswer::kNone;
  std::unique_ptr<ImageRestorer> restorer_;
  std::shared_ptr<Domain> domain_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SESSIONS_TARGET_SESSION_H_
