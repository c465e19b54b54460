#include "server/migration/outgoing_migrations.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/printable.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "server/convert/live_migration.h"

namespace simvisor::server {
namespace {

// Migrations that have ended and are remembered, and as many whose target is
// still to be told.
constexpr size_t kMaxEnded = 256;

constexpr std::chrono::seconds kFirstAsked{1};
constexpr std::chrono::seconds kAskedAtLeastEvery{30};
// Questions under way, in all and to one target.
constexpr size_t kQuestionsAtOnce = 64;
constexpr int kQuestionsPerTarget = 4;

}  // namespace

OutgoingMigrations::OutgoingMigrations(CallRunner* runner)
    : runner_(runner), thread_([this] { Work(); }) {}

OutgoingMigrations::~OutgoingMigrations() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    for (const auto& [id, question] : asking_) {
      if (question.asked != nullptr) question.asked->Cancel();
    }
  }
  thread_.join();
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(this, &OutgoingMigrations::IsIdle));
}

absl::Status OutgoingMigrations::Begin(absl::string_view id,
                                       std::shared_ptr<Domain> domain,
                                       const PeerAddress& target) {
  const DomainInfo info = domain->Info();
  absl::MutexLock lock(&mu_);
  const auto [at, is_new] = entries_.try_emplace(std::string(id));
  if (!is_new) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, Reason::kMigrationSettled,
        absl::StrCat("domain ", info.id.value(), ": migrate: migration ", id,
                     " is known here already; choose another id"));
  }
  Entry& entry = at->second;
  entry.number = next_number_++;
  entry.target = target;
  entry.domid = info.id;
  entry.name = info.name;
  entry.domain = std::move(domain);
  return absl::OkStatus();
}

void OutgoingMigrations::Suspended(absl::string_view id, uint64_t suspension) {
  absl::MutexLock lock(&mu_);
  Entry& entry = entries_.at(std::string(id));
  entry.suspension = suspension;
  entry.must_tell = true;
}

absl::StatusOr<v1::Migration> OutgoingMigrations::Note(absl::string_view id,
                                                       SourceEvent event,
                                                       absl::string_view why) {
  SIMVISOR_RETURN_IF_ERROR(Prepare(id, event));
  std::shared_ptr<Domain> domain;
  uint64_t suspension = 0;
  std::optional<SourceState> next;
  v1::Migration now;
  {
    absl::MutexLock lock(&mu_);
    const auto at = entries_.find(std::string(id));
    if (at == entries_.end()) return UnknownMigration(id);
    Entry& entry = at->second;
    const SourceState before = entry.state;
    next = Next(before, event);
    NoteWhy(at->first, event, next.has_value() ? why : "", entry);
    if (next.has_value()) {
      entry.state = *next;
      if (*next == SourceState::kMoved) entry.why.clear();
      domain = entry.domain;
      suspension = entry.suspension;
      if (*next == SourceState::kMoved || *next == SourceState::kKept) {
        entry.domain = nullptr;
        entry.end_number = next_number_++;
      }
      // Whoever makes it open asks at once.
      if (*next != before) Open(entry, clock_->Now());
    }
    news_ = true;
    now = ToProto(at->first, entry);
    ForgetOld();
  }
  if (next.has_value()) Act(domain, suspension, *next);
  return now;
}

void OutgoingMigrations::Open(Entry& entry, Clock::Time now) {
  entry.ask_again = kFirstAsked;
  entry.ask_at = now + kFirstAsked;
}

void OutgoingMigrations::NoteWhy(const std::string& id, SourceEvent event,
                                 absl::string_view why, Entry& entry) {
  const bool answered = event == SourceEvent::kCommitted ||
                        event == SourceEvent::kDropped ||
                        event == SourceEvent::kNeverHeardOf;
  // Who says keep of what is kept knows that the target never will answer.
  const bool given_up =
      event == SourceEvent::kKeep && (entry.state == SourceState::kKept ||
                                      entry.state == SourceState::kUnknown);
  if (answered || given_up) entry.must_tell = false;
  if (entry.state == SourceState::kKept && event == SourceEvent::kCommitted) {
    entry.why =
        "the domain was kept here, but its target runs it too: destroy one of "
        "the two";
    spdlog::error("migration {}: {}", id, entry.why);
  } else if (!why.empty()) {
    entry.why = Shortened(Printable(why), kMaxWhyBytes);
  }
}

absl::Status OutgoingMigrations::Prepare(absl::string_view id,
                                         SourceEvent event) {
  if (event != SourceEvent::kPrepared) return absl::OkStatus();
  std::shared_ptr<Domain> domain;
  {
    absl::MutexLock lock(&mu_);
    const auto at = entries_.find(std::string(id));
    if (at == entries_.end()) return UnknownMigration(id);
    domain = at->second.domain;
  }
  return domain->BeginHandover({"handover"});
}

void OutgoingMigrations::Act(const std::shared_ptr<Domain>& domain,
                             uint64_t suspension, SourceState state) {
  if (state == SourceState::kMoved) {
    domain->EndHandover();
    runner_->machine.Destroy(domain).IgnoreError();
  } else if (state == SourceState::kKept && suspension != 0) {
    // If it has been destroyed meanwhile, nothing is to be resumed.
    const auto resume = [suspension](Domain& guest) {
      return guest.Resume({"resume"}, suspension, /*paused=*/false);
    };
    runner_->machine.Change(domain, resume).IgnoreError();
  }
}

void OutgoingMigrations::ForgetOld() {
  absl::btree_map<uint64_t, std::string> ended, to_tell;
  for (const auto& [id, entry] : entries_) {
    if (entry.domain != nullptr) continue;
    (IsOpen(entry) ? to_tell : ended)[entry.end_number] = id;
  }
  for (auto* const old : {&ended, &to_tell}) {
    for (; old->size() > kMaxEnded; old->erase(old->begin())) {
      entries_.erase(old->begin()->second);
    }
  }
}

void OutgoingMigrations::Work() {
  while (true) {
    const auto questions = AwaitQuestions();
    if (questions.empty()) return;
    for (const Due& due : questions) Ask(due);
  }
}

std::vector<OutgoingMigrations::Due> OutgoingMigrations::AwaitQuestions() {
  absl::MutexLock lock(&mu_);
  while (!stopping_) {
    news_ = false;
    Clock::Time next = Clock::Time::max();
    std::vector<Due> questions = TakeDue(&next);
    if (!questions.empty()) return questions;
    clock_->Await(&mu_, absl::Condition(this, &OutgoingMigrations::HasNews),
                  next);
  }
  return {};
}

std::vector<OutgoingMigrations::Due> OutgoingMigrations::TakeDue(
    Clock::Time* next) {
  const Clock::Time now = clock_->Now();
  absl::flat_hash_map<std::string, int> per_target;
  for (const auto& [id, question] : asking_) {
    ++per_target[question.target.ToString()];
  }
  std::vector<Due> due;
  for (auto& [id, entry] : entries_) {
    if (!IsOpen(entry) || asking_.contains(id)) continue;
    if (entry.ask_at > now) {
      *next = std::min(*next, entry.ask_at);
      continue;
    }
    // Those that find no room are due when an answer has come.
    int& asked = per_target[entry.target->ToString()];
    if (asking_.size() >= kQuestionsAtOnce || asked >= kQuestionsPerTarget) {
      continue;
    }
    ++asked;
    asking_.emplace(id, Question{*entry.target, nullptr});
    due.push_back({id, *entry.target});
    entry.ask_at = now + entry.ask_again;
    entry.ask_again =
        std::min<Duration>(2 * entry.ask_again, kAskedAtLeastEvery);
  }
  return due;
}

v1::Migration OutgoingMigrations::AskNow(const v1::Migration& now) {
  const std::string& id = now.migration_id();
  std::optional<Due> due;
  {
    absl::MutexLock lock(&mu_);
    const auto at = entries_.find(id);
    if (at == entries_.end() || !IsOpen(at->second) || stopping_) return now;
    const PeerAddress& target = *at->second.target;
    // The thread may have been quicker to ask.
    if (asking_.emplace(id, Question{target, nullptr}).second) {
      due = {id, target};
    }
  }
  if (due.has_value()) Ask(*due);
  absl::MutexLock lock(&mu_);
  const auto answered = [this, &id]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return !asking_.contains(id);
  };
  mu_.Await(absl::Condition(&answered));
  const auto at = entries_.find(id);
  return at == entries_.end() ? now : ToProto(at->first, at->second);
}

void OutgoingMigrations::Ask(const Due& due) {
  const auto question = std::make_shared<PeerQuestion>(due.target, due.id);
  {
    absl::MutexLock lock(&mu_);
    asking_.at(due.id).asked = question;
    if (stopping_) question->Cancel();
  }
  question->Ask([this, id = due.id](absl::StatusOr<SourceEvent> answer) {
    // What follows for a domain may last, and this is a thread of gRPC's.
    runner_->images.Submit(
        [this, id, answer = std::move(answer)] { TakeAnswer(id, answer); });
  });
}

void OutgoingMigrations::TakeAnswer(const std::string& id,
                                    const absl::StatusOr<SourceEvent>& answer) {
  const absl::StatusOr<v1::Migration> now =
      answer.ok() ? Note(id, *answer)
                  : Note(id, SourceEvent::kFailed, answer.status().message());
  // One that was forgotten meanwhile has nothing to learn.
  if (!now.ok()) {
    spdlog::info("migration {}: {}", id, std::string(now.status().message()));
  }
  std::shared_ptr<PeerQuestion> asked;  // freed without the lock
  absl::MutexLock lock(&mu_);
  const auto at = asking_.find(id);
  asked = std::move(at->second.asked);
  asking_.erase(at);
  news_ = true;
}

v1::Migration OutgoingMigrations::ToProto(const std::string& id,
                                          const Entry& entry) {
  v1::Migration out;
  out.set_migration_id(id);
  out.set_direction(v1::MIGRATION_DIRECTION_OUTGOING);
  out.set_state(server::ToProto(entry.state));
  out.set_domid(entry.domid.value());
  out.set_name(entry.name);
  // A path may have any bytes.
  out.set_peer(Shortened(Printable(entry.target->ToString()), kMaxPeerBytes));
  out.set_message(entry.why);
  return out;
}

bool OutgoingMigrations::IsUnknown(absl::string_view id) const {
  absl::MutexLock lock(&mu_);
  const auto at = entries_.find(std::string(id));
  return at != entries_.end() && at->second.state == SourceState::kUnknown;
}

std::vector<std::pair<MigrationPlace, v1::Migration>> OutgoingMigrations::List(
    const MigrationPlace& from, size_t limit) const {
  absl::MutexLock lock(&mu_);
  return ListFrom(
      entries_, from, limit,
      [](const Entry& entry) {
        return PlaceOf(server::ToProto(entry.state),
                       v1::MIGRATION_DIRECTION_OUTGOING, entry.number);
      },
      ToProto);
}

}  // namespace simvisor::server
