#include "server/outgoing_migrations.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "domain/units/error.h"
#include "domain/units/status_macros.h"
#include "server/convert_live_migration.h"
#include "server/peer.h"

namespace simvisor::server {
namespace {

// Migrations that have ended and are remembered.
constexpr size_t kMaxEnded = 256;
constexpr absl::Duration kAskEvery = absl::Seconds(1);

}  // namespace

OutgoingMigrations::OutgoingMigrations(Host* host, CallRunner* runner)
    : host_(host), runner_(runner), thread_([this] { Work(); }) {}

OutgoingMigrations::~OutgoingMigrations() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    for (const auto& [id, context] : asking_) context->TryCancel();
  }
  thread_.join();
}

absl::Status OutgoingMigrations::Begin(absl::string_view id,
                                       std::shared_ptr<Domain> domain,
                                       absl::string_view target) {
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
  entry.target = std::string(target);
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
    next = Next(entry.state, event);
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
    }
    now = ToProto(at->first, entry);
    ForgetOld();
  }
  if (next.has_value()) Act(domain, suspension, *next);
  return now;
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
    entry.why = std::string(why);
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
  return domain->BeginHandover();
}

void OutgoingMigrations::Act(const std::shared_ptr<Domain>& domain,
                             uint64_t suspension, SourceState state) {
  if (state == SourceState::kMoved) {
    domain->EndHandover();
    host_->DestroyDomain(domain).IgnoreError();
    runner_->heap.OnGone(host_->guest_count());
  } else if (state == SourceState::kKept && suspension != 0) {
    // If it has been destroyed meanwhile, nothing is to be resumed.
    domain->Resume(suspension, /*paused=*/false, NeverStop).IgnoreError();
    runner_->balloons.Watch(domain);
    runner_->loads.Watch(domain);
  }
}

bool OutgoingMigrations::HasOpen() const {
  return stopping_ ||
         std::any_of(entries_.begin(), entries_.end(),
                     [](const auto& entry) { return IsOpen(entry.second); });
}

void OutgoingMigrations::ForgetOld() {
  absl::btree_map<uint64_t, std::string> ended;
  for (const auto& [id, entry] : entries_) {
    if (entry.domain == nullptr && !IsOpen(entry)) ended[entry.end_number] = id;
  }
  while (ended.size() > kMaxEnded) {
    entries_.erase(ended.begin()->second);
    ended.erase(ended.begin());
  }
}

void OutgoingMigrations::Work() {
  while (true) {
    const std::vector<Question> questions = AwaitQuestions();
    if (questions.empty()) return;
    for (const Question& question : questions) Ask(question);
  }
}

std::vector<OutgoingMigrations::Question> OutgoingMigrations::AwaitQuestions() {
  absl::MutexLock lock(&mu_);
  std::vector<Question> questions;
  // Whoever made it one has asked just now.
  while (questions.empty() && !stopping_) {
    mu_.Await(absl::Condition(this, &OutgoingMigrations::HasOpen));
    mu_.AwaitWithTimeout(absl::Condition(this, &OutgoingMigrations::IsStopping),
                         kAskEvery);
    if (stopping_) break;
    for (const auto& [id, entry] : entries_) {
      if (IsOpen(entry)) questions.push_back({id, entry.target});
    }
  }
  return questions;
}

v1::Migration OutgoingMigrations::AskNow(const v1::Migration& now) {
  const std::string& id = now.migration_id();
  {
    absl::MutexLock lock(&mu_);
    const auto at = entries_.find(id);
    if (at == entries_.end() || !IsOpen(at->second)) return now;
  }
  Ask({id, now.peer()});
  absl::MutexLock lock(&mu_);
  // The thread may have been quicker to ask.
  const auto answered = [this, &id]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return !asking_.contains(id);
  };
  mu_.Await(absl::Condition(&answered));
  const auto at = entries_.find(id);
  return at == entries_.end() ? now : ToProto(at->first, at->second);
}

void OutgoingMigrations::Ask(const Question& question) {
  grpc::ClientContext context;
  {
    absl::MutexLock lock(&mu_);
    // One question at a time about one migration.
    if (stopping_ || !asking_.emplace(question.id, &context).second) return;
  }
  const absl::StatusOr<SourceEvent> answer =
      AskPeer(context, question.target, question.id);
  const absl::StatusOr<v1::Migration> now =
      answer.ok()
          ? Note(question.id, *answer)
          : Note(question.id, SourceEvent::kFailed, answer.status().message());
  if (!now.ok()) {
    spdlog::error("migration {}: {}", question.id,
                  std::string(now.status().message()));
  }
  absl::MutexLock lock(&mu_);
  asking_.erase(question.id);
}

v1::Migration OutgoingMigrations::ToProto(const std::string& id,
                                          const Entry& entry) {
  v1::Migration out;
  out.set_migration_id(id);
  out.set_direction(v1::MIGRATION_DIRECTION_OUTGOING);
  out.set_state(server::ToProto(entry.state));
  out.set_domid(entry.domid.value());
  out.set_name(entry.name);
  out.set_peer(entry.target);
  out.set_message(entry.why);
  return out;
}

bool OutgoingMigrations::IsUnknown(absl::string_view id) const {
  absl::MutexLock lock(&mu_);
  const auto at = entries_.find(std::string(id));
  return at != entries_.end() && at->second.state == SourceState::kUnknown;
}

void OutgoingMigrations::List(v1::ListMigrationsResponse& out) const {
  absl::MutexLock lock(&mu_);
  absl::btree_map<uint64_t, const std::string*> by_number;
  for (const auto& [id, entry] : entries_) by_number[entry.number] = &id;
  for (const auto& [number, id] : by_number) {
    *out.add_migrations() = ToProto(*id, entries_.at(*id));
  }
}

}  // namespace simvisor::server
