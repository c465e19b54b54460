// One machine of a simulation: what a daemon has beside gRPC.
//
// It dies and is started again, and then knows nothing.

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
  // What the configuration in an image says.
  using SpecOf = std::function<absl::StatusOr<DomainSpec>(const std::string&)>;

  struct SourceRun {
    std::string id;
    std::shared_ptr<Domain> domain;
    std::unique_ptr<SourceSession> session;
  };
  struct TargetCall {
    std::shared_ptr<Stream> stream;
    std::unique_ptr<TargetSession> session;
    absl::Status interrupted;  // why it is to end; OK if it is not
  };

  SimMachine(int index, SimClock* clock, Network* network, SpecOf spec_of);
  ~SimMachine();

  void Start();
  // All that it has goes; nobody hears of it.
  void Die();
  bool alive() const { return parts_ != nullptr; }
  Life life() const { return {index_, alive() ? lives_ : 0}; }
  Host& host() { return parts_->machine.host(); }
  OutgoingMigrations& outgoing() { return parts_->outgoing; }
  IncomingMigrations& incoming() { return parts_->incoming; }

  // As a source.
  void Migrate(SourceSession::Plan plan);
  std::vector<SourceRun>& runs() { return parts_->runs; }
  // What follows from answers.
  std::deque<std::function<void()>>& jobs() { return parts_->jobs; }

  // As a target.
  std::map<Stream*, TargetCall>& calls() { return parts_->calls; }
  // The first message on its way arrives.  Whether the domain is whole then.
  bool TakeMessage(const std::shared_ptr<Stream>& stream);
  // A COMMIT of a call that may have ended long ago.
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

    // In the order in which they may go, last first.
    Machine machine;
    std::deque<std::function<void()>> jobs;
    IncomingMigrations incoming;
    OutgoingMigrations outgoing;
    std::map<Stream*, TargetCall> calls;
    std::vector<SourceRun> runs;
  };

  static MachineOptions Options();
  // Goes on with a call; whether its domain is whole then.
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
