// Two machines in one process, between which guests migrate while faults
// happen: a random walk from a seed.
//
// After each step, no guest has two copies that may run, and a copy that runs
// has seen every change of its guest, unless the machine on which it made them
// has died.  At the end, faults stop, dead machines are started again, and the
// simulation comes to rest.  Then each guest runs exactly once, unless the
// machine that ran it last has died; it equals a guest that made the same
// changes and never moved; and nothing else is left on either machine.

#ifndef SIMVISOR_TESTS_SIMULATION_SIMULATION_H_
#define SIMVISOR_TESTS_SIMULATION_SIMULATION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulation/mistakes.h"
#include "tests/simulation/network.h"
#include "tests/simulation/sim_clock.h"
#include "tests/simulation/sim_guest.h"
#include "tests/simulation/sim_machine.h"

namespace simvisor::server {

struct SimulationResult {
  std::string finding;  // empty if nothing was found
  uint64_t steps = 0;
  // How often each thing happened.
  uint64_t changes = 0, started = 0, moved = 0, failed = 0, unresolved = 0;
  uint64_t cuts = 0, deaths = 0, questions = 0, decisions = 0, lost = 0;
};

class Simulation {
 public:
  // Takes at least `steps` steps, and then those needed to come to rest.
  Simulation(uint64_t seed, uint64_t steps, Mistake mistake);
  SimulationResult Run();

 private:
  struct Guest {
    DomainSpec spec;
    std::vector<GuestChange> changes;
    Life awake;                   // where it last ran
    std::map<Life, size_t> seen;  // changes that the copy there has seen
  };
  struct Move {
    std::string id;
    size_t guest = 0;
    Life from, to;
    std::optional<size_t> changes;  // how many when it suspended the guest
  };
  struct Action {
    uint64_t weight;
    std::function<void()> act;
  };

  // The actions that may happen next (simulation_actions.cc).
  std::vector<Action> Actions();
  void AddGuests(std::vector<Action>& actions);
  void AddMigrations(std::vector<Action>& actions);
  void AddSessions(SimMachine& machine, std::vector<Action>& actions);
  void AddStreams(std::vector<Action>& actions);
  void AddQuestions(std::vector<Action>& actions);
  void AddMachines(std::vector<Action>& actions);
  void AddDecisions(SimMachine& machine, std::vector<Action>& actions);
  // The actions that end waits which nothing else ends.
  std::vector<Action> Timeouts();

  void CreateGuest();
  void ChangeGuest();
  void StartMigration();
  void StepSession(SimMachine& machine, size_t run);
  void Deliver(const std::shared_ptr<Stream>& stream);
  void Ask(SimQuestionState& question);
  void TellAnswer(SimQuestionState& question);
  void Kill(SimMachine& machine);
  void Decide(SimMachine& machine, const std::string& id,
              MigrationDecision decision);

  // Does one of the actions; false if there are none.
  bool DoOneOf(const std::vector<Action>& actions);
  void ComeToRest();
  void Check();
  void CheckGuest(Guest& guest);
  void CheckEnd();
  void Find(const std::string& what);
  bool LivesOn(Life life) const {
    return network_.LifeOf(life.machine) == life;
  }
  Move* FindMove(const std::string& id);
  Guest* FindGuest(const std::string& name);

  const uint64_t min_steps_;
  Random random_;
  SimClock clock_;
  Network network_;
  std::vector<std::unique_ptr<SimMachine>> machines_;
  std::vector<Guest> guests_;
  std::vector<Move> moves_;
  bool resting_ = false;  // nothing new begins, nothing breaks
  // The weights of faults against other actions.
  uint64_t cut_weight_, death_weight_, stall_weight_, cancel_weight_;
  uint64_t change_weight_;
  SimulationResult result_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_SIMULATION_SIMULATION_H_
