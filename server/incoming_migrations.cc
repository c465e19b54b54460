#include "server/incoming_migrations.h"

#include <spdlog/spdlog.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "domain/units/error.h"
#include "server/convert_live_migration.h"

namespace simvisor::server {
namespace {

// Migrations that have ended and are remembered.
constexpr size_t kMaxEnded = 256;

bool HasEnded(TargetState state) {
  return state == TargetState::kCommitted || state == TargetState::kDropped;
}

}  // namespace

absl::Status IncomingMigrations::Begin(absl::string_view id,
                                       absl::string_view source,
                                       bool start_paused) {
  absl::MutexLock lock(&mu_);
  const auto [at, is_new] = entries_.try_emplace(std::string(id));
  if (!is_new) {
    return MakeError(absl::StatusCode::kFailedPrecondition,
                     Reason::kMigrationSettled,
                     absl::StrCat("receive: migration ", id,
                                  " is known here already; choose another id"));
  }
  at->second.number = next_number_++;
  at->second.source = std::string(source);
  at->second.start_paused = start_paused;
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
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   Reason::kMigrationSettled,
                   absl::StrCat("receive: migration ", id,
                                " was dropped while the domain came in"));
}

absl::StatusOr<TargetState> IncomingMigrations::Decide(absl::string_view id,
                                                       TargetEvent event) {
  std::shared_ptr<Domain> domain;
  TargetState state;
  bool start_paused = false;
  {
    absl::MutexLock lock(&mu_);
    const auto at = entries_.find(std::string(id));
    if (at == entries_.end()) return UnknownMigration(id);
    Entry& entry = at->second;
    const bool had_ended = HasEnded(entry.state);
    state = Next(entry.state, event).value_or(entry.state);
    entry.state = state;
    if (HasEnded(state) && !had_ended) {
      domain = std::move(entry.domain);
      start_paused = entry.start_paused;
      entry.forgettable = state == TargetState::kDropped;
      ended_.emplace(entry.number, at->first);
      ForgetOld();
    }
  }
  if (domain != nullptr) {
    if (state == TargetState::kCommitted) {
      Run(domain, start_paused);
    } else {
      Drop(domain);
    }
  }
  return state;
}

void IncomingMigrations::Run(const std::shared_ptr<Domain>& domain,
                             bool start_paused) {
  // It is held, so that nobody can have ended it.
  const absl::Status status = domain->Resume(start_paused, NeverStop);
  if (!status.ok()) {
    spdlog::error("domain {} has arrived and cannot resume: {}",
                  domain->id().value(), std::string(status.message()));
  }
  runner_->balloons.Watch(domain);
  runner_->loads.Watch(domain);
}

void IncomingMigrations::Drop(const std::shared_ptr<Domain>& domain) {
  domain->EndHandover();
  host_->DestroyDomain(domain).IgnoreError();
}

void IncomingMigrations::Acknowledge(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  const auto at = entries_.find(std::string(id));
  if (at == entries_.end()) return;
  at->second.forgettable = true;
  ForgetOld();
}

void IncomingMigrations::ForgetOld() {
  size_t excess = ended_.size() > kMaxEnded ? ended_.size() - kMaxEnded : 0;
  for (auto at = ended_.begin(); at != ended_.end() && excess > 0;) {
    const auto entry = entries_.find(at->second);
    if (entry->second.forgettable) {
      entries_.erase(entry);
      at = ended_.erase(at);
      --excess;
    } else {
      ++at;
    }
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

absl::StatusOr<v1::Migration> IncomingMigrations::Describe(
    absl::string_view id) const {
  absl::MutexLock lock(&mu_);
  const auto at = entries_.find(std::string(id));
  if (at == entries_.end()) return UnknownMigration(id);
  return ToProto(at->first, at->second);
}

void IncomingMigrations::List(v1::ListMigrationsResponse& out) const {
  absl::MutexLock lock(&mu_);
  absl::btree_map<uint64_t, const std::string*> by_number;
  for (const auto& [id, entry] : entries_) by_number[entry.number] = &id;
  for (const auto& [number, id] : by_number) {
    *out.add_migrations() = ToProto(*id, entries_.at(*id));
  }
}

}  // namespace simvisor::server
