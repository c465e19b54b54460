// One migration, at its target: takes the domain in, and runs it when told so.
//
//   step         takes     and says
//   kOffer       an offer
//   kReceiving   data      ADMITTED once there is room; PREPARED at the end of
//                          the stream, then kPrepared
//   kPrepared    COMMIT    COMMITTED, then kCommitted
//   kCommitted   DONE      nothing: that is the end
//
// What the domain is at each step stands in IncomingMigrations; what breaks the
// call is told there.  A decision that drops the domain while it comes in
// interrupts the call.
//
// Thread safety: one thread at a time.

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
  // `spec` reads the configuration in the image; `interrupt` ends the call, and
  // may be called from an offer to End().  Both ledgers outlive the session.
  TargetSession(Machine* machine, IncomingMigrations* migrations,
                ImageRestorer::SpecSource spec,
                IncomingMigrations::Cancel interrupt);
  TargetSession(const TargetSession&) = delete;
  TargetSession& operator=(const TargetSession&) = delete;
  // REQUIRES: End() was called.
  ~TargetSession();

  // What the call does next: reads a message, writes answer(), or ends with OK.
  enum class Next { kRead, kAnswer, kEnd };

  // Does what a message asks for, unless `over` says that the call is over.
  // Errors as ReceiveDomain: the call must end with them.
  absl::StatusOr<Next> Take(const SourceMessage& message, StopCheck over);
  // answer() has left.
  absl::StatusOr<Next> Sent();
  // Gives up all that came in without arriving, and tells the ledger.  Called
  // once, before the source hears of `status`; nothing may follow.
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
  // That the message is the one that is due.
  absl::Status CheckPlace(const SourceMessage& message) const;

  Machine& machine_;
  IncomingMigrations& migrations_;
  const ImageRestorer::SpecSource spec_;
  const IncomingMigrations::Cancel interrupt_;

  Step step_ = Step::kOffer;
  std::string id_;  // empty until it is known to be ours
  std::string name_;
  bool admitted_ = false;
  TargetAnswer answer_ = TargetAnswer::kNone;
  std::unique_ptr<ImageRestorer> restorer_;
  std::shared_ptr<Domain> domain_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SESSIONS_TARGET_SESSION_H_
