#include "server/migration/incoming_migrations.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/error.h"
#include "base/printable.h"
#include "base/quote.h"
#include "server/convert/live_migration.h"

namespace simvisor::server {
namespace {

// How long one that is dropped is waited for.
constexpr absl::Duration kEndOfCall = absl::Seconds(2);
// Of those who wait for that: others must find workers meanwhile.
constexpr int kMaxWaiters = 2;

absl::Status Dropped(absl::string_view id) {
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   Reason::kMigrationSettled,
                   absl::StrCat("receive: migration ", id,
                                " was dropped while the domain came in: its "
                                "source asked for that, or an operator"));
}

bool HasEnded(TargetState state) {
  return state == TargetState::kCommitted || state == TargetState::kDropped;
}

}  // namespace

absl::Status IncomingMigrations::Begin(absl::string_view id,
                                       absl::string_view source,
                                       bool start_paused, Cancel cancel) {
  absl::MutexLock lock(&mu_);
  const auto receiving = static_cast<size_t>(
      std::count_if(entries_.begin(), entries_.end(), [](const auto& entry) {
        return entry.second.state == TargetState::kReceiving;
      }));
  if (receiving >= bounds_.receiving) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, Reason::kCallsExhausted,
        absl::StrCat("receive: migration ", id, ": ", receiving,
                     " are coming in, and no more can at a time; wait until "
                     "some have ended"));
  }
  const auto [at, is_new] = entries_.try_emplace(std::string(id));
  if (!is_new) {
    return MakeError(absl::StatusCode::kFailedPrecondition,
                     Reason::kMigrationSettled,
                     absl::StrCat("receive: migration ", id,
                                  " is known here already; choose another id"));
  }
  at->second.number = next_number_++;
  at->second.source = Shortened(Printable(source), kMaxPeerBytes);
  at->second.start_paused = start_paused;
  at->second.cancel = std::move(cancel);
  return absl::OkStatus();
}

absl::Status IncomingMigrations::Arrived(absl::string_view id,
                                         std::shared_ptr<Domain> domain) {
  {
    absl::MutexLock lock(&mu_);
    Entry& entry = entries_.at(std::string(id));
    const auto next = Next(entry.state, TargetEvent::kArrived);
    if (next.has_value()) {
      const DomainInfo info = domain->Info();
      entry.state = *next;
      entry.domid = info.id;
      entry.name = info.name;
      entry.domain = std::move(domain);
      return absl::OkStatus();
    }
  }
  Drop(domain);
  return Dropped(id);
}

void IncomingMigrations::CallEnded(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  Entry& entry = entries_.at(std::string(id));
  entry.cancel = nullptr;
  entry.end_number = next_number_++;
  ForgetOld();
}

absl::StatusOr<v1::Migration> IncomingMigrations::Decide(absl::string_view id,
                                                         TargetEvent event) {
  std::shared_ptr<Domain> domain;
  v1::Migration now;
  bool start_paused = false;
  bool coming_in = false;
  {
    absl::MutexLock lock(&mu_);
    const auto at = entries_.find(std::string(id));
    if (at == entries_.end()) return Unknown(id, event);
    Entry& entry = at->second;
    const bool had_ended = HasEnded(entry.state);
    const bool receiving = entry.state == TargetState::kReceiving;
    entry.state = Next(entry.state, event).value_or(entry.state);
    if (HasEnded(entry.state) && !had_ended) {
      domain = std::move(entry.domain);
      start_paused = entry.start_paused;
      // What came in so far goes with the call.
      coming_in = receiving && event != TargetEvent::kBroken;
      if (coming_in && entry.cancel != nullptr) entry.cancel(Dropped(id));
    }
    now = ToProto(at->first, entry);
  }
  if (coming_in) AwaitEndOfCall(id);
  if (domain == nullptr) return now;
  if (now.state() == v1::MIGRATION_STATE_COMMITTED) {
    Run(domain, start_paused);
  } else {
    Drop(domain);
  }
  return now;
}

void IncomingMigrations::AwaitEndOfCall(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  if (waiters_ == kMaxWaiters) return;
  ++waiters_;
  const auto ended = [this, &id]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    const auto at = entries_.find(std::string(id));
    return at == entries_.end() || at->second.cancel == nullptr;
  };
  mu_.AwaitWithTimeout(absl::Condition(&ended), kEndOfCall);
  --waiters_;
}

void IncomingMigrations::Run(const std::shared_ptr<Domain>& domain,
                             bool start_paused) {
  // It is held, so that nobody can have ended it.
  const absl::Status status =
      machine_.Change(domain, [start_paused](Domain& guest) {
        return guest.Resume({"resume"}, guest.Info().suspension, start_paused);
      });
  if (!status.ok()) {
    spdlog::error("domain {} has arrived and cannot resume: {}",
                  domain->id().value(), std::string(status.message()));
  }
}

void IncomingMigrations::Drop(const std::shared_ptr<Domain>& domain) {
  domain->EndHandover();
  machine_.Destroy(domain).IgnoreError();
}

void IncomingMigrations::Acknowledge(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  const auto at = entries_.find(std::string(id));
  if (at == entries_.end()) return;
  at->second.acknowledged = true;
  ForgetOld();
}

absl::Status IncomingMigrations::Unknown(absl::string_view id,
                                         TargetEvent event) const {
  if (event != TargetEvent::kAsked || !forgot_committed_) {
    return UnknownMigration(id);
  }
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kMigrationSettled,
      absl::StrCat("migration ", id,
                   ": it is not known here, and may be one of "
                   "those that were committed and are forgotten; look whether "
                   "its domain is here, then decide with migrate-resolve"));
}

void IncomingMigrations::ForgetOld() {
  absl::btree_map<uint64_t, std::string> ended, unacknowledged;
  for (const auto& [id, entry] : entries_) {
    if (!HasEnded(entry.state) || entry.cancel != nullptr) continue;
    const bool may_be_asked_for =
        entry.state == TargetState::kCommitted && !entry.acknowledged;
    (may_be_asked_for ? unacknowledged : ended)[entry.end_number] = id;
  }
  for (; ended.size() > bounds_.ended; ended.erase(ended.begin())) {
    entries_.erase(ended.begin()->second);
  }
  for (; unacknowledged.size() > bounds_.unacknowledged;
       unacknowledged.erase(unacknowledged.begin())) {
    entries_.erase(unacknowledged.begin()->second);
    forgot_committed_ = true;
  }
}

v1::Migration IncomingMigrations::ToProto(const std::string& id,
                                          const Entry& entry) {
  v1::Migration out;
  out.set_migration_id(id);
  out.set_direction(v1::MIGRATION_DIRECTION_INCOMING);
  out.set_state(server::ToProto(entry.state));
  out.set_domid(entry.domid.value());
  out.set_name(entry.name);
  out.set_peer(entry.source);
  if (entry.state == TargetState::kPrepared) {
    out.set_message(
        "the source decides; if it is gone for good, decide here: keep or "
        "drop");
  }
  return out;
}

std::vector<std::pair<MigrationPlace, v1::Migration>> IncomingMigrations::List(
    const MigrationPlace& from, size_t limit) const {
  absl::MutexLock lock(&mu_);
  return ListFrom(
      entries_, from, limit,
      [](const Entry& entry) {
        return PlaceOf(server::ToProto(entry.state),
                       v1::MIGRATION_DIRECTION_INCOMING, entry.number);
      },
      ToProto);
}

}  // namespace simvisor::server
