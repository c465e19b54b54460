// One machine of a simulation: a daemon without gRPC.
//
// It may die and be started again; it then remembers nothing.

#ifndef SIMVISOR_TESTS_SIMULATION_SIM_MACHINE_H_
#define SIMVISOR_TESTS_SIMULATION_SIM_MACHINE_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/machine/machine.h"
#include "server/sessions/incoming_migrations.h"
#include "server/sessions/outgoing_migrations.h"
#include "server/sessions/resolve.h"
#include "server/sessions/source_session.h"
#include "server/sessions/target_session.h"
#include "tests/simulation/network.h"
#include "tests/simulation/sim_clock.h"

namespace simvisor::server {

class SimMachine {
 public:
  // Reads the configuration in an image.
  using SpecOf = std::function<absl::StatusOr<DomainSpec>(const std::string&)>;

  struct SourceRun {
    std::string id;
    std::shared_ptr<Domain> domain;
    std::unique_ptr<SourceSession> session;
  };
  struct TargetCall {
    std::shared_ptr<Stream> stream;
    std::unique_ptr<TargetSession> session;
    absl::Status interrupted;  // why it must end; OK if it need not
  };

  SimMachine(int index, SimClock* clock, Network* network, SpecOf spec_of);
  ~SimMachine();

  void Start();
  // Everything in it is lost, and its peers are not told.
  void Die();
  bool alive() const { return parts_ != nullptr; }
  Life life() const { return {index_, alive() ? lives_ : 0}; }
  Host& host() { return parts_->machine.host(); }
  OutgoingMigrations& outgoing() { return parts_->outgoing; }
  IncomingMigrations& incoming() { return parts_->incoming; }

  // As a source.
  void Migrate(SourceSession::Plan plan);
  std::vector<SourceRun>& runs() { return parts_->runs; }
  // Jobs that handle answers.
  std::deque<std::function<void()>>& jobs() { return parts_->jobs; }

  // As a target.
  std::map<Stream*, TargetCall>& calls() { return parts_->calls; }
  // Takes the first message on its way.  Returns whether that completes the
  // domain.
  bool TakeMessage(const std::shared_ptr<Stream>& stream);
  // Takes a repeated COMMIT; its call may have ended long ago.
  void TakeStrayCommit(const std::shared_ptr<Stream>& stream);
  void EndCall(Stream* stream, const absl::Status& status);
  // Ends the calls that a decision has interrupted.
  void EndInterrupted();
  QuestionAnswer Answer(const std::string& id);
  absl::StatusOr<AnyRecord> Decide(const std::string& id,
                                   MigrationDecision decision);

 private:
  struct Parts {
    Parts(SimMachine* owner, const IncomingMigrations::Bounds& bounds);

    // Destroyed from the last to the first.
    Machine machine;
    std::deque<std::function<void()>> jobs;
    IncomingMigrations incoming;
    OutgoingMigrations outgoing;
    std::map<Stream*, TargetCall> calls;
    std::vector<SourceRun> runs;
  };

  static MachineOptions Options();
  // Goes on with a call.  Returns whether that completes the domain.
  bool GoOn(TargetCall& call, absl::StatusOr<TargetSession::Next> next);
  std::optional<TargetState> StateOf(const std::string& id);
  std::shared_ptr<Domain> DomainOf(const std::string& id);

  const int index_;
  SimClock& clock_;
  Network& network_;
  const SpecOf spec_of_;
  uint64_t lives_ = 0;
  std::unique_ptr<Parts> parts_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_SIMULATION_SIM_MACHINE_H_
