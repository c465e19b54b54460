// The actions that may happen next in a simulation, and their weights.

#include <chrono>
#include <utility>
#include <variant>

#include "base/error.h"
#include "tests/simulation/simulation.h"

namespace simvisor::server {
namespace {

constexpr size_t kMaxGuests = 4;

absl::Status Stalled() {
  return MakeError(absl::StatusCode::kAborted, Reason::kCallStalled,
                   "the source moved nothing");
}

absl::Status Broken() {
  return MakeError(absl::StatusCode::kInvalidArgument, Reason::kImageTruncated,
                   "the source ended the stream");
}

}  // namespace

std::vector<Simulation::Action> Simulation::Actions() {
  std::vector<Action> actions;
  if (!resting_) {
    AddGuests(actions);
    AddMigrations(actions);
    AddMachines(actions);
  }
  for (const auto& machine : machines_) {
    if (machine->alive()) AddSessions(*machine, actions);
  }
  AddStreams(actions);
  AddQuestions(actions);
  return actions;
}

void Simulation::AddGuests(std::vector<Action>& actions) {
  if (guests_.size() < kMaxGuests) {
    actions.push_back({guests_.empty() ? 100u : 1u, [this] { CreateGuest(); }});
  }
  actions.push_back({change_weight_, [this] { ChangeGuest(); }});
}

void Simulation::AddMigrations(std::vector<Action>& actions) {
  actions.push_back({40, [this] { StartMigration(); }});
  for (const auto& machine : machines_) {
    if (!machine->alive()) continue;
    for (size_t i = 0; i < machine->runs().size(); ++i) {
      SourceSession* const session = machine->runs()[i].session.get();
      actions.push_back({cancel_weight_, [session] {
                           session->Cancel(absl::CancelledError("client"));
                         }});
      if (session->waits() == SourceSession::Waits::kAnswer) {
        actions.push_back({stall_weight_, [this, m = machine.get(), i] {
                             StepSession(*m, i);
                           }});
      }
    }
    for (const auto& [stream, call] : machine->calls()) {
      actions.push_back({stall_weight_, [m = machine.get(), s = stream] {
                           m->EndCall(s, Stalled());
                         }});
    }
    AddDecisions(*machine, actions);
    actions.push_back({10, [this, m = machine.get()] {
                         clock_.Advance(std::chrono::seconds(1));
                         m->outgoing().AskDue();
                       }});
  }
}

void Simulation::AddSessions(SimMachine& machine,
                             std::vector<Action>& actions) {
  for (size_t i = 0; i < machine.runs().size(); ++i) {
    const SimMachine::SourceRun& run = machine.runs()[i];
    bool ready = true;
    if (run.session->waits() == SourceSession::Waits::kQuestion) {
      ready = !machine.outgoing().IsAsking(run.id);
    } else if (run.session->waits() == SourceSession::Waits::kAnswer) {
      for (const auto& stream : network_.streams()) {
        if (stream->migration_id == run.id && stream->from == machine.life()) {
          ready = stream->SourceMayGoOn();
        }
      }
    }
    if (ready) {
      actions.push_back({80, [this, &machine, i] { StepSession(machine, i); }});
    }
  }
  if (!machine.jobs().empty()) {
    actions.push_back({50, [&machine] {
                         const auto job = std::move(machine.jobs().front());
                         machine.jobs().pop_front();
                         job();
                       }});
  }
  for (const auto& [stream, call] : machine.calls()) {
    if (call.interrupted.ok()) continue;
    actions.push_back({40, [&machine] { machine.EndInterrupted(); }});
    break;
  }
}

void Simulation::AddStreams(std::vector<Action>& actions) {
  for (const auto& stream : network_.streams()) {
    if (!stream->to_target.empty() && !stream->target_knows) {
      actions.push_back({80, [this, stream] { Deliver(stream); }});
    }
    if (!stream->to_source.empty() && !stream->source_knows) {
      actions.push_back(
          {60, [this, stream] { network_.DeliverToSource(*stream); }});
    }
    if (!stream->source_knows &&
        (stream->cut || (!stream->target_open && stream->to_source.empty()))) {
      actions.push_back({30, [stream] { stream->source_knows = true; }});
    }
    if (!stream->target_knows && (stream->cut || !stream->source_open)) {
      actions.push_back({20, [this, stream] {
                           stream->target_open = false;
                           stream->target_knows = true;
                           SimMachine& at = *machines_[stream->to.machine];
                           if (at.calls().contains(stream.get())) {
                             at.EndCall(stream.get(), Broken());
                           }
                         }});
    }
    if (!resting_ && !stream->cut) {
      actions.push_back({cut_weight_, [this, stream] {
                           ++result_.cuts;
                           Network::Cut(*stream);
                         }});
    }
  }
  if (!network_.stray_commits().empty()) {
    actions.push_back({2, [this] {
                         const auto stream = network_.stray_commits().back();
                         network_.stray_commits().pop_back();
                         if (LivesOn(stream->to)) {
                           machines_[stream->to.machine]->TakeStrayCommit(
                               stream);
                         }
                       }});
  }
}

void Simulation::AddQuestions(std::vector<Action>& actions) {
  for (const auto& question : network_.questions()) {
    if (!question->open) continue;
    if (question->answer.has_value()) {
      actions.push_back({40, [this, question] { TellAnswer(*question); }});
    } else {
      actions.push_back({40, [this, question] { Ask(*question); }});
    }
    if (resting_) continue;
    // The question arrives twice, and the second answer counts.
    if (question->answer.has_value()) {
      actions.push_back({5, [this, question] { Ask(*question); }});
    }
    actions.push_back(
        {cut_weight_, [this, question] {
           if (network_.mistake() == Mistake::kTakesSilenceForNo) {
             Network::Finish(*question, SourceEvent::kNeverHeardOf);
           } else {
             Network::Finish(*question, absl::UnavailableError("no answer"));
           }
         }});
  }
}

void Simulation::AddMachines(std::vector<Action>& actions) {
  for (const auto& machine : machines_) {
    if (machine->alive()) {
      actions.push_back(
          {death_weight_, [this, m = machine.get()] { Kill(*m); }});
    } else {
      actions.push_back({30, [m = machine.get()] { m->Start(); }});
    }
  }
}

void Simulation::AddDecisions(SimMachine& machine,
                              std::vector<Action>& actions) {
  // Operators decide correctly: they know which machine is gone for good.
  for (const auto& [place, record] : machine.incoming().List({}, 100)) {
    const Move* const move = FindMove(record.id);
    if (record.state == TargetState::kPrepared && !LivesOn(move->from)) {
      actions.push_back({20, [this, &machine, id = record.id] {
                           Decide(machine, id, MigrationDecision::kKeep);
                         }});
    } else if (!resting_ && LivesOn(move->from)) {
      // Dropping is safe while the source lives: at worst it is refused.
      actions.push_back({1, [this, &machine, id = record.id] {
                           Decide(machine, id, MigrationDecision::kDrop);
                         }});
    }
  }
  if (resting_) return;
  for (const auto& [place, record] : machine.outgoing().List({}, 100)) {
    const Move* const move = FindMove(record.id);
    // Keeping it means that the target is not told any more, so do that only if
    // the target is dead.
    const bool is_open = record.state == SourceState::kUnknown ||
                         record.state == SourceState::kKept;
    if (!is_open || !LivesOn(move->to)) {
      actions.push_back({1, [this, &machine, id = record.id] {
                           Decide(machine, id, MigrationDecision::kKeep);
                         }});
    }
  }
}

std::vector<Simulation::Action> Simulation::Timeouts() {
  std::vector<Action> actions;
  for (const auto& machine : machines_) {
    for (size_t i = 0; i < machine->runs().size(); ++i) {
      actions.push_back(
          {1, [this, m = machine.get(), i] { StepSession(*m, i); }});
    }
    for (const auto& [stream, call] : machine->calls()) {
      actions.push_back(
          {1, [m = machine.get(), s = stream] { m->EndCall(s, Stalled()); }});
    }
  }
  if (!actions.empty()) return actions;
  for (const auto& machine : machines_) {
    const Clock::Time next = machine->outgoing().AskDue();
    if (!network_.questions().empty()) return {{1, [] {}}};
    if (next == Clock::Time::max()) continue;
    actions.push_back({1, [this, m = machine.get(), next] {
                         clock_.Advance(next - clock_.Now());
                         m->outgoing().AskDue();
                       }});
  }
  if (!actions.empty()) return actions;
  for (const auto& machine : machines_) AddDecisions(*machine, actions);
  return actions;
}

}  // namespace simvisor::server
