#include "tests/simulation/simulation.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/uuid.h"

namespace simvisor::server {
namespace {

// A simulation that takes more steps to come to rest is a finding.
constexpr int kMostStepsToRest = 4000;

}  // namespace

Simulation::Simulation(uint64_t seed, uint64_t steps, Mistake mistake)
    : min_steps_(steps),
      random_(seed),
      network_(&random_, mistake,
               [this](const std::string& name) {
                 return UuidToString(FindGuest(name)->spec.uuid);
               }),
      cut_weight_(Below(random_, 3) * 4),
      death_weight_(Below(random_, 3)),
      stall_weight_(Below(random_, 3) * 2),
      cancel_weight_(Below(random_, 3) * 2),
      change_weight_(Below(random_, 100) + 1) {
  NetworkFaults faults;
  if (Chance(random_, 50)) {
    faults.lost = Below(random_, 10);
    faults.repeated = Below(random_, 20);
    faults.swapped = Below(random_, 10);
  }
  network_.SetFaults(faults);
  for (int i = 0; i < 2; ++i) {
    machines_.push_back(std::make_unique<SimMachine>(
        i, &clock_, &network_,
        [this](const std::string& name) -> absl::StatusOr<DomainSpec> {
          const Guest* const guest = FindGuest(name);
          if (guest == nullptr) return absl::InvalidArgumentError(name);
          return guest->spec;
        }));
    machines_.back()->Start();
  }
  clock_.SetMeanwhile([this] {
    if (Chance(random_, 50)) return;
    for (const auto& machine : machines_) {
      if (machine->alive()) machine->EndInterrupted();
    }
  });
}

SimulationResult Simulation::Run() {
  while (result_.finding.empty() && result_.steps < min_steps_) {
    DoOneOf(Actions());
    Check();
  }
  if (result_.finding.empty()) ComeToRest();
  if (result_.finding.empty()) CheckEnd();
  return result_;
}

void Simulation::ComeToRest() {
  resting_ = true;
  network_.SetFaults(NetworkFaults());
  for (const auto& machine : machines_) {
    if (!machine->alive()) machine->Start();
  }
  for (int i = 0; i < kMostStepsToRest && result_.finding.empty(); ++i) {
    if (!DoOneOf(Actions()) && !DoOneOf(Timeouts())) return;
    Check();
  }
  Find("it does not come to rest");
}

bool Simulation::DoOneOf(const std::vector<Action>& actions) {
  uint64_t all = 0;
  for (const Action& action : actions) all += action.weight;
  if (all == 0) return false;
  uint64_t at = Below(random_, all);
  for (const Action& action : actions) {
    if (at < action.weight) {
      action.act();
      break;
    }
    at -= action.weight;
  }
  network_.Tidy();
  ++result_.steps;
  return true;
}

void Simulation::CreateGuest() {
  SimMachine& machine = *machines_[Below(random_, machines_.size())];
  if (!machine.alive()) return;
  Guest guest;
  guest.spec = AnySpec(random_, absl::StrCat("g", guests_.size()));
  const auto made = machine.host().CreateDomain(
      guest.spec, /*start_paused=*/false, NeverStop);
  if (!made.ok()) return Find(made.status().ToString());
  guest.awake = machine.life();
  guest.seen[guest.awake] = 0;
  guests_.push_back(std::move(guest));
}

void Simulation::ChangeGuest() {
  SimMachine& machine = *machines_[Below(random_, machines_.size())];
  if (!machine.alive()) return;
  const std::vector<Copy> copies = CopiesOn(machine.host());
  if (copies.empty()) return;
  const Copy& copy = copies[Below(random_, copies.size())];
  for (Guest& guest : guests_) {
    if (guest.spec.uuid != copy.uuid) continue;
    GuestChange change = AnyChange(random_, guest.spec);
    if (!Apply(*copy.domain, change).ok()) return;
    // A load does nothing while its guest does not run.
    if (change.kind == GuestChange::Kind::kRunLoad && change.amount == 0)
      return;
    if (copy.suspended) {
      return Find(absl::StrCat(guest.spec.name, " was changed, by ",
                               static_cast<int>(change.kind),
                               ", while it was suspended"));
    }
    guest.changes.push_back(std::move(change));
    ++result_.changes;
  }
}

void Simulation::StartMigration() {
  SimMachine& from = *machines_[Below(random_, machines_.size())];
  if (!from.alive() || from.runs().size() >= 2) return;
  const std::vector<Copy> copies = CopiesOn(from.host());
  if (copies.empty()) return;
  const Copy& copy = copies[Below(random_, copies.size())];
  // Start few migrations that are refused at once.
  bool moves = copy.suspended;
  for (const auto& run : from.runs()) moves |= run.domain == copy.domain;
  if (moves && Chance(random_, 95)) return;
  const int to = from.life().machine == 0 ? 1 : 0;
  SourceSession::Plan plan;
  plan.id = absl::StrCat("m-", moves_.size());
  plan.domain = copy.domain;
  plan.target = network_.MakePeer(from.life(), to);
  plan.policy.max_passes = static_cast<uint32_t>(Below(random_, 3) + 1);
  plan.policy.min_dirty = PageCount(Below(random_, 20));
  if (Chance(random_, 60)) {
    plan.policy.max_bytes_per_second = 4096 + Below(random_, 200000);
  }
  plan.config = copy.domain->name();
  plan.source = "a simulation";
  Move move{plan.id, 0, from.life(), network_.LifeOf(to), std::nullopt};
  while (guests_[move.guest].spec.uuid != copy.uuid) ++move.guest;
  moves_.push_back(move);
  from.Migrate(std::move(plan));
  ++result_.started;
}

void Simulation::StepSession(SimMachine& machine, size_t run) {
  SimMachine::SourceRun& own = machine.runs()[run];
  own.session->Step();
  Move& move = *FindMove(own.id);
  if (!move.changes.has_value() && own.domain->Info().suspended) {
    move.changes = guests_[move.guest].changes.size();
  }
  // The target may have been started again since the migration was planned.
  for (const auto& stream : network_.streams()) {
    if (stream->migration_id == own.id) move.to = stream->to;
  }
  if (!own.session->done()) return;
  const absl::Status& outcome = own.session->outcome();
  if (outcome.ok()) {
    ++result_.moved;
  } else if (ReasonOf(outcome) == ReasonName(Reason::kMigrationUnresolved)) {
    ++result_.unresolved;
  } else {
    ++result_.failed;
  }
  machine.runs().erase(machine.runs().begin() + static_cast<ptrdiff_t>(run));
}

void Simulation::Deliver(const std::shared_ptr<Stream>& stream) {
  if (!machines_[stream->to.machine]->TakeMessage(stream)) return;
  const Move& move = *FindMove(stream->migration_id);
  guests_[move.guest].seen[stream->to] = move.changes.value_or(0);
}

void Simulation::Ask(SimQuestionState& question) {
  ++result_.questions;
  SimMachine& machine = *machines_[question.to];
  if (machine.alive()) {
    question.answer = machine.Answer(question.id);
    return;
  }
  question.answer = QuestionAnswer();
  question.answer->status.code = absl::StatusCode::kUnavailable;
}

void Simulation::TellAnswer(SimQuestionState& question) {
  absl::StatusOr<SourceEvent> event =
      EventOf(*question.answer, question.id, "the target");
  if (network_.mistake() == Mistake::kRunsAfterMoved && event.ok() &&
      *event == SourceEvent::kCommitted) {
    event = SourceEvent::kDropped;
  }
  Network::Finish(question, event);
}

void Simulation::Kill(SimMachine& machine) {
  ++result_.deaths;
  machine.Die();
}

void Simulation::Decide(SimMachine& machine, const std::string& id,
                        MigrationDecision decision) {
  ++result_.decisions;
  machine.Decide(id, decision).IgnoreError();
}

void Simulation::Find(const std::string& what) {
  if (result_.finding.empty()) {
    result_.finding = absl::StrCat("step ", result_.steps, ": ", what);
  }
}

Simulation::Move* Simulation::FindMove(const std::string& id) {
  for (Move& move : moves_) {
    if (move.id == id) return &move;
  }
  return nullptr;
}

Simulation::Guest* Simulation::FindGuest(const std::string& name) {
  for (Guest& guest : guests_) {
    if (guest.spec.name == name) return &guest;
  }
  return nullptr;
}

void Simulation::Check() {
  for (Guest& guest : guests_) CheckGuest(guest);
}

void Simulation::CheckGuest(Guest& guest) {
  std::vector<Life> awake;
  bool anywhere = false;
  for (const auto& machine : machines_) {
    if (!machine->alive()) continue;
    for (const Copy& copy : CopiesOn(machine->host())) {
      if (copy.uuid != guest.spec.uuid) continue;
      anywhere = true;
      if (!copy.suspended) awake.push_back(machine->life());
    }
  }
  const std::string& name = guest.spec.name;
  if (awake.size() > 1) return Find(absl::StrCat(name, " runs twice"));
  if (awake.empty()) {
    if (!anywhere && LivesOn(guest.awake)) {
      Find(absl::StrCat(name, " is gone, and its machine is not"));
    }
    return;
  }
  if (awake[0] != guest.awake) {
    const size_t seen = guest.seen[awake[0]];
    if (seen < guest.changes.size() && LivesOn(guest.awake)) {
      return Find(absl::StrCat(name, " runs without its last ",
                               guest.changes.size() - seen, " changes"));
    }
    guest.changes.resize(seen);
    guest.awake = awake[0];
  }
  guest.seen[guest.awake] = guest.changes.size();
}

void Simulation::CheckEnd() {
  for (const auto& machine : machines_) {
    const std::string fault = FindFault(machine->host());
    if (!fault.empty()) return Find(fault);
  }
  for (const Guest& guest : guests_) {
    size_t running = 0;
    for (const auto& machine : machines_) {
      for (const Copy& copy : CopiesOn(machine->host())) {
        if (copy.uuid != guest.spec.uuid) continue;
        if (copy.suspended) {
          return Find(absl::StrCat(guest.spec.name, " is left suspended"));
        }
        ++running;
        const std::string difference =
            FindDifference(*copy.domain, guest.spec, guest.changes);
        if (!difference.empty()) {
          return Find(absl::StrCat(guest.spec.name, ": ", difference));
        }
      }
    }
    if (running == 0) ++result_.lost;
    if (running == 0 && LivesOn(guest.awake)) {
      return Find(absl::StrCat(guest.spec.name, " does not run"));
    }
  }
}

}  // namespace simvisor::server
