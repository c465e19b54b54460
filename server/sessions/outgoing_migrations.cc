#include "server/sessions/outgoing_migrations.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/printable.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "server/machine/events.h"
#include "server/machine/memory_reserve.h"

namespace simvisor::server {
namespace {

// How many migrations that have ended are remembered, and how many whose target
// has not yet been told.
constexpr size_t kMaxEnded = 256;

constexpr std::chrono::seconds kFirstAsked{1};
constexpr std::chrono::seconds kAskedAtLeastEvery{30};
// The most questions under way, in total and to one target.
constexpr size_t kQuestionsAtOnce = 64;
constexpr int kQuestionsPerTarget = 4;

bool HasEnded(SourceState state) {
  return state == SourceState::kMoved || state == SourceState::kKept;
}

// "migration 17 to unix:/run/b.sock: kept here: REASON".
std::string DescribeOutcome(const OutgoingRecord& record) {
  const absl::string_view outcome =
      record.state == SourceState::kMoved  ? "moved"
      : record.state == SourceState::kKept ? "kept here"
                                           : "not decided, it waits suspended";
  return absl::StrCat("migration ", record.id, " to ", record.peer, ": ",
                      outcome, record.why.empty() ? "" : ": ", record.why);
}

}  // namespace

OutgoingMigrations::OutgoingMigrations(Machine* machine, Clock* clock,
                                       Executor answers)
    : machine_(*machine), clock_(*clock), answers_(std::move(answers)) {}

OutgoingMigrations::~OutgoingMigrations() {
  Stop();
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(this, &OutgoingMigrations::IsIdle));
}

void OutgoingMigrations::Stop() {
  absl::MutexLock lock(&mu_);
  if (stopping_) return;
  stopping_ = true;
  for (const auto& [id, question] : asking_) {
    if (question.asked != nullptr) question.asked->Cancel();
  }
}

absl::Status OutgoingMigrations::Begin(absl::string_view id,
                                       std::shared_ptr<Domain> domain,
                                       std::shared_ptr<const Peer> target) {
  const DomainInfo info = domain->Info();
  absl::MutexLock lock(&mu_);
  Ledger::Row* const row = ledger_.Begin(id, SourceState::kCopying);
  if (row == nullptr) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, Reason::kMigrationSettled,
        absl::StrCat(DomainText(info.name, info.id), ": migrate: migration ",
                     id, " is known here already; choose another id"),
        {{fact::kOperation, "migrate"},
         {fact::kDomain, info.name},
         {fact::kDomid, info.id.value()},
         {fact::kValue, id}});
  }
  row->entry.target = std::move(target);
  row->entry.domid = info.id;
  row->entry.name = info.name;
  row->entry.domain = std::move(domain);
  return absl::OkStatus();
}

void OutgoingMigrations::Suspended(absl::string_view id, uint64_t suspension) {
  absl::MutexLock lock(&mu_);
  OutgoingMigration& entry = ledger_.Find(id)->entry;
  entry.suspension = suspension;
  entry.must_tell = true;
}

absl::StatusOr<OutgoingRecord> OutgoingMigrations::Note(absl::string_view id,
                                                        SourceEvent event,
                                                        absl::string_view why) {
  SIMVISOR_RETURN_IF_ERROR(Prepare(id, event));
  std::shared_ptr<Domain> domain;
  std::string target;
  uint64_t suspension = 0;
  std::optional<SourceState> next;
  OutgoingRecord now;
  bool decided = false;
  {
    absl::MutexLock lock(&mu_);
    Ledger::Row* const row = ledger_.Find(id);
    if (row == nullptr) return UnknownMigration(id);
    OutgoingMigration& entry = row->entry;
    const SourceState before = row->state;
    next = Next(before, event);
    decided = next.has_value() && *next != before &&
              *next != SourceState::kCommitting;
    NoteWhy(id, event, next.has_value() ? why : "", *row);
    if (next.has_value()) {
      Ledger::Move(*row, event);
      if (*next == SourceState::kMoved) entry.why.clear();
      domain = entry.domain;
      target = entry.target->address();
      suspension = entry.suspension;
      if (server::HasEnded(*next)) {
        entry.domain = nullptr;
        ledger_.End(*row);
      }
      // The session that opens it asks at once; this is when to ask again.
      if (*next != before) Open(entry, clock_.Now());
    }
    if (decided) row->shown = before;
    news_ = true;
    now = RecordOf(id, *row);
    ForgetOld();
  }
  if (decided && domain != nullptr) {
    LogEvent(*domain, [&now] { return DescribeOutcome(now); });
  }
  if (next.has_value()) Act(domain, suspension, *next, target);
  if (decided) {
    absl::MutexLock lock(&mu_);
    ledger_.Show(id);
  }
  return now;
}

void OutgoingMigrations::Open(OutgoingMigration& entry, Clock::Time now) {
  entry.ask_again = kFirstAsked;
  entry.ask_at = now + kFirstAsked;
}

void OutgoingMigrations::NoteWhy(absl::string_view id, SourceEvent event,
                                 absl::string_view why, Ledger::Row& row) {
  OutgoingMigration& entry = row.entry;
  const bool answered = event == SourceEvent::kCommitted ||
                        event == SourceEvent::kDropped ||
                        event == SourceEvent::kNeverHeardOf;
  // An operator who keeps it again knows that the target will never answer.
  const bool given_up =
      event == SourceEvent::kKeep &&
      (row.state == SourceState::kKept || row.state == SourceState::kUnknown);
  if (answered || given_up) entry.must_tell = false;
  if (row.state == SourceState::kKept && event == SourceEvent::kCommitted) {
    entry.why =
        "the domain was kept here, but its target runs it too: destroy one of "
        "the two";
    spdlog::error("migration {}: {}", std::string(id), entry.why);
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
    const Ledger::Row* const row = ledger_.Find(id);
    if (row == nullptr) return UnknownMigration(id);
    domain = row->entry.domain;
  }
  return domain->migration().BeginHandover({"handover"});
}

void OutgoingMigrations::Act(const std::shared_ptr<Domain>& domain,
                             uint64_t suspension, SourceState state,
                             const std::string& target) {
  // If the domain has been destroyed meanwhile, there is nothing to do.
  if (state == SourceState::kMoved) {
    domain->migration().EndHandover(target);
    UnlessExhausted([&] {
      return machine_.Destroy(domain).status();
    }).IgnoreError();
  } else if (state == SourceState::kKept && suspension != 0) {
    UnlessExhausted([&] {
      return machine_.Change(domain, [suspension](Domain& guest) {
        return guest.migration().Resume({"resume"}, suspension,
                                        /*paused=*/false);
      });
    }).IgnoreError();
  }
}

void OutgoingMigrations::ForgetOld() {
  ledger_.Forget(kMaxEnded, IsOpen);
  ledger_.Forget(kMaxEnded,
                 [](const Ledger::Row& row) { return !IsOpen(row); });
}

void OutgoingMigrations::AskUntilStopped() {
  while (true) {
    const Clock::Time next = AskDue();
    absl::MutexLock lock(&mu_);
    clock_.Await(&mu_, absl::Condition(this, &OutgoingMigrations::HasNews),
                 next);
    if (stopping_) return;
  }
}

Clock::Time OutgoingMigrations::AskDue() {
  Clock::Time next = Clock::Time::max();
  std::vector<Due> questions;
  {
    absl::MutexLock lock(&mu_);
    news_ = false;
    if (stopping_) return next;
    questions = TakeDue(&next);
  }
  for (const Due& due : questions) Ask(due);
  return next;
}

std::vector<OutgoingMigrations::Due> OutgoingMigrations::TakeDue(
    Clock::Time* next) {
  const Clock::Time now = clock_.Now();
  absl::flat_hash_map<std::string, int> per_target;
  for (const auto& [id, question] : asking_) {
    ++per_target[question.target->address()];
  }
  std::vector<Due> due;
  for (auto& [id, row] : ledger_.rows()) {
    if (!IsOpen(row) || asking_.contains(id)) continue;
    OutgoingMigration& entry = row.entry;
    if (entry.ask_at > now) {
      *next = std::min(*next, entry.ask_at);
      continue;
    }
    // A question over the limit is tried again when an answer has come.
    int& asked = per_target[entry.target->address()];
    if (asking_.size() >= kQuestionsAtOnce || asked >= kQuestionsPerTarget) {
      continue;
    }
    ++asked;
    asking_.emplace(id, Question{entry.target, nullptr});
    due.push_back({id, entry.target});
    entry.ask_at = now + entry.ask_again;
    entry.ask_again = std::min<Clock::Time::duration>(2 * entry.ask_again,
                                                      kAskedAtLeastEvery);
  }
  return due;
}

void OutgoingMigrations::StartAsking(absl::string_view id) {
  Due due;
  {
    absl::MutexLock lock(&mu_);
    const Ledger::Row* const row = ledger_.Find(id);
    if (row == nullptr || !IsOpen(*row) || stopping_) return;
    due = {std::string(id), row->entry.target};
    // The thread may have been quicker to ask.
    if (!asking_.emplace(due.id, Question{due.target, nullptr}).second) return;
  }
  Ask(due);
}

bool OutgoingMigrations::IsAsking(absl::string_view id) const {
  absl::MutexLock lock(&mu_);
  return asking_.contains(std::string(id));
}

std::optional<OutgoingRecord> OutgoingMigrations::AwaitAnswer(
    absl::string_view id) const {
  const std::string key(id);
  absl::MutexLock lock(&mu_);
  const auto answered = [this, &key]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return !asking_.contains(key);
  };
  mu_.Await(absl::Condition(&answered));
  const Ledger::Row* const row = ledger_.Find(id);
  if (row == nullptr) return std::nullopt;
  return RecordOf(id, *row);
}

void OutgoingMigrations::Ask(const Due& due) {
  const std::shared_ptr<PeerQuestion> question =
      due.target->MakeQuestion(due.id);
  {
    absl::MutexLock lock(&mu_);
    asking_.at(due.id).asked = question;
    if (stopping_) question->Cancel();
  }
  question->Ask([this, id = due.id](absl::StatusOr<SourceEvent> answer) {
    answers_(
        [this, id, answer = std::move(answer)] { TakeAnswer(id, answer); });
  });
}

void OutgoingMigrations::TakeAnswer(const std::string& id,
                                    const absl::StatusOr<SourceEvent>& answer) {
  const absl::StatusOr<OutgoingRecord> now =
      answer.ok() ? Note(id, *answer)
                  : Note(id, SourceEvent::kFailed, answer.status().message());
  // A migration that was forgotten meanwhile ignores the answer.
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

OutgoingRecord OutgoingMigrations::RecordOf(absl::string_view id,
                                            const Ledger::Row& row) {
  OutgoingRecord out = Ledger::BeginRecord(id, row);
  // A path may contain any bytes.
  out.peer = Shortened(Printable(row.entry.target->address()), kMaxPeerBytes);
  out.why = row.entry.why;
  return out;
}

bool OutgoingMigrations::IsUnknown(absl::string_view id) const {
  absl::MutexLock lock(&mu_);
  const Ledger::Row* const row = ledger_.Find(id);
  return row != nullptr && row->state == SourceState::kUnknown;
}

std::shared_ptr<const Domain> OutgoingMigrations::FindDomain(
    absl::string_view id) const {
  absl::MutexLock lock(&mu_);
  const Ledger::Row* const row = ledger_.Find(id);
  return row == nullptr ? nullptr : row->entry.domain;
}

PlacedRecords<SourceState> OutgoingMigrations::List(const MigrationPlace& from,
                                                    size_t limit) const {
  absl::MutexLock lock(&mu_);
  return ledger_.List(from, limit, RecordOf);
}

}  // namespace simvisor::server
