#include "tests/simulation/sim_machine.h"

#include <utility>
#include <variant>

#include "base/error.h"
#include "base/uuid.h"

namespace simvisor::server {
namespace {

StandingClock& Standing() {
  static StandingClock clock;
  return clock;
}

absl::Status Gone(absl::string_view why) {
  return MakeError(absl::StatusCode::kCancelled, Reason::kCancelled, why);
}

PeerStatus StatusOf(const absl::Status& status) {
  PeerStatus out;
  out.code = status.code();
  if (status.ok()) return out;
  out.text = std::string(status.message());
  out.reason = Reason::kInternal;
  for (const Reason reason : AllReasons()) {
    if (ReasonOf(status) == ReasonName(reason)) out.reason = reason;
  }
  return out;
}

}  // namespace

MachineOptions SimMachine::Options() {
  MachineOptions options;
  options.clock = &Standing();
  options.trim = [] {};
  return options;
}

SimMachine::Parts::Parts(SimMachine* owner,
                         const IncomingMigrations::Bounds& bounds)
    : machine(MakeSimHost(), Options()),
      incoming(&machine, &owner->clock_, bounds),
      outgoing(&machine, &owner->clock_, [this](std::function<void()> job) {
        jobs.push_back(std::move(job));
      }) {}

SimMachine::SimMachine(int index, SimClock* clock, Network* network,
                       SpecOf spec_of)
    : index_(index),
      clock_(*clock),
      network_(*network),
      spec_of_(std::move(spec_of)) {}

SimMachine::~SimMachine() {
  if (alive()) Die();
}

void SimMachine::Start() {
  ++lives_;
  IncomingMigrations::Bounds bounds;
  if (network_.mistake() == Mistake::kForgetsTooEarly) {
    bounds.unacknowledged = 0;
  }
  parts_ = std::make_unique<Parts>(this, bounds);
  network_.SetLife(life());
}

void SimMachine::Die() {
  const Life dead = life();
  network_.SetLife({index_, 0});
  // The machine is dead; what follows only frees its objects.
  const std::unique_ptr<Parts> parts = std::move(parts_);
  for (const auto& question : network_.questions()) {
    if (question->from == dead && question->open) {
      Network::Finish(*question, Gone("dead"));
    }
  }
  for (; !parts->jobs.empty(); parts->jobs.pop_front()) parts->jobs.front()();
  parts->runs.clear();
  for (auto& [stream, call] : parts->calls) call.session->End(Gone("dead"));
}

void SimMachine::Migrate(SourceSession::Plan plan) {
  SourceRun run{plan.id, plan.domain, nullptr};
  run.session = std::make_unique<SourceSession>(
      std::move(plan),
      SourceSession::Tools{.migrations = &parts_->outgoing,
                           .faults = &parts_->machine.faults(),
                           .clock = &clock_,
                           .stall_timeout = std::chrono::seconds(60)},
      [](const MigrationProgress&) {});
  parts_->runs.push_back(std::move(run));
}

bool SimMachine::TakeMessage(const std::shared_ptr<Stream>& stream) {
  TargetCall& call = parts_->calls[stream.get()];
  if (call.session == nullptr) {
    call.stream = stream;
    call.session = std::make_unique<TargetSession>(
        &parts_->machine, &parts_->incoming,
        [this](const std::optional<std::string>& config) {
          return spec_of_(config.value_or(""));
        },
        [&call](const absl::Status& why) { call.interrupted = why; });
  }
  if (!call.interrupted.ok()) {
    EndCall(stream.get(), call.interrupted);
    return false;
  }
  WireMessage wire = std::move(stream->to_target.front());
  stream->to_target.pop_front();
  if (auto* const data = std::get_if<DataMessage>(&wire.message)) {
    data->bytes = wire.bytes;
  }
  // gRPC may report a cancelled call at any time.
  const bool over = !stream->source_open && Chance(network_.random(), 50);
  const auto is_over = [over] {
    return over ? Gone("cancelled") : absl::OkStatus();
  };
  return GoOn(call, call.session->Take(wire.message, is_over));
}

bool SimMachine::GoOn(TargetCall& call,
                      absl::StatusOr<TargetSession::Next> next) {
  Stream& stream = *call.stream;
  bool whole = false;
  while (next.ok() && *next == TargetSession::Next::kAnswer) {
    TargetMessage message;
    message.answer = call.session->answer();
    if (message.answer == TargetAnswer::kCommitted) {
      const DomainInfo info = call.session->domain()->Info();
      message.name = info.name;
      message.uuid = UuidToString(info.uuid);
    }
    whole = whole || message.answer == TargetAnswer::kPrepared;
    network_.SendToSource(stream, std::move(message));
    next = call.session->Sent();
  }
  if (whole && network_.mistake() == Mistake::kRunsBeforeCommit) {
    incoming().Decide(stream.migration_id, TargetEvent::kKeep).IgnoreError();
  }
  if (!next.ok()) {
    EndCall(&stream, next.status());
  } else if (*next == TargetSession::Next::kEnd) {
    EndCall(&stream, absl::OkStatus());
  }
  return whole;
}

void SimMachine::TakeStrayCommit(const std::shared_ptr<Stream>& stream) {
  if (network_.mistake() == Mistake::kCommitsTwice) {
    const std::shared_ptr<Domain> domain = DomainOf(stream->migration_id);
    if (domain != nullptr) ResumeNow(*domain).IgnoreError();
    return;
  }
  if (!parts_->calls.contains(stream.get())) return;
  stream->to_target.push_front({CommitMessage(), ""});
  TakeMessage(stream);
}

void SimMachine::EndCall(Stream* stream, const absl::Status& status) {
  const auto at = parts_->calls.find(stream);
  stream->target_open = false;
  stream->target_knows = true;
  stream->to_target.clear();
  if (!stream->cut && !stream->source_knows) stream->end = StatusOf(status);
  at->second.session->End(status);
  parts_->calls.erase(at);
}

void SimMachine::EndInterrupted() {
  std::vector<Stream*> streams;
  for (const auto& [stream, call] : parts_->calls) {
    if (!call.interrupted.ok()) streams.push_back(stream);
  }
  for (Stream* const stream : streams) {
    EndCall(stream, parts_->calls.at(stream).interrupted);
  }
}

std::optional<TargetState> SimMachine::StateOf(const std::string& id) {
  for (const auto& [place, record] : incoming().List({}, 1000)) {
    if (record.id == id) return record.state;
  }
  return std::nullopt;
}

std::shared_ptr<Domain> SimMachine::DomainOf(const std::string& id) {
  for (const auto& [place, record] : incoming().List({}, 1000)) {
    if (record.id != id) continue;
    const auto found = host().Find(record.domid);
    return found.ok() ? *found : nullptr;
  }
  return nullptr;
}

QuestionAnswer SimMachine::Answer(const std::string& id) {
  QuestionAnswer answer;
  answer.id = id;
  const std::optional<TargetState> state = StateOf(id);
  if (network_.mistake() == Mistake::kAnswersBeforeDropping &&
      (state == TargetState::kPrepared || state == TargetState::kReceiving)) {
    answer.state = TargetState::kDropped;
    return answer;
  }
  if (network_.mistake() == Mistake::kAnswersForAnother) {
    const auto all = incoming().List({}, 1000);
    if (!all.empty()) answer.state = all.back().second.state;
    return answer;
  }
  if (network_.mistake() == Mistake::kDropsAfterCommit &&
      state == TargetState::kCommitted) {
    const std::shared_ptr<Domain> domain = DomainOf(id);
    if (domain != nullptr) parts_->machine.Destroy(domain).IgnoreError();
  }
  const auto resolved = Decide(id, MigrationDecision::kDropUnlessCommitted);
  answer.status = StatusOf(resolved.status());
  if (network_.mistake() == Mistake::kForgetsTooEarly &&
      answer.status.reason == Reason::kMigrationSettled) {
    answer.status.reason = Reason::kMigrationNotFound;
  }
  if (resolved.ok()) answer.state = std::get<IncomingRecord>(*resolved).state;
  return answer;
}

absl::StatusOr<AnyRecord> SimMachine::Decide(const std::string& id,
                                             MigrationDecision decision) {
  return Resolve(outgoing(), incoming(), id, decision);
}

}  // namespace simvisor::server
