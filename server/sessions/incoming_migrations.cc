#include "server/sessions/incoming_migrations.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/printable.h"
#include "base/quote.h"
#include "server/machine/events.h"
#include "server/machine/memory_reserve.h"

namespace simvisor::server {
namespace {

// How long to wait for the call of a dropped migration to end.
constexpr std::chrono::seconds kEndOfCall{2};
// How many threads may wait for that; the rest must stay free for other calls.
constexpr int kMaxWaiters = 2;

absl::Status Dropped(absl::string_view id) {
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   Reason::kMigrationSettled,
                   absl::StrCat("receive: migration ", id,
                                " was dropped while the domain came in: its "
                                "source asked for that, or an operator"),
                   {{fact::kOperation, "receive"}, {fact::kValue, id}});
}

bool IsDecided(TargetState state) {
  return state == TargetState::kCommitted || state == TargetState::kDropped;
}

}  // namespace

absl::Status IncomingMigrations::Begin(absl::string_view id,
                                       absl::string_view source,
                                       bool start_paused, Cancel cancel) {
  absl::MutexLock lock(&mu_);
  const size_t receiving = ledger_.CountIn(TargetState::kReceiving);
  if (receiving >= bounds_.receiving) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, Reason::kCallsExhausted,
        absl::StrCat("receive: migration ", id, ": ", receiving,
                     " are coming in, and no more can at a time; wait until "
                     "some have ended"),
        {{fact::kOperation, "receive"},
         {fact::kLimit, receiving},
         {fact::kUnit, "migrations"}});
  }
  Ledger::Row* const row = ledger_.Begin(id, TargetState::kReceiving);
  if (row == nullptr) {
    return MakeError(absl::StatusCode::kFailedPrecondition,
                     Reason::kMigrationSettled,
                     absl::StrCat("receive: migration ", id,
                                  " is known here already; choose another id"),
                     {{fact::kOperation, "receive"}, {fact::kValue, id}});
  }
  row->entry.source = Shortened(Printable(source), kMaxPeerBytes);
  row->entry.start_paused = start_paused;
  row->entry.cancel = std::move(cancel);
  return absl::OkStatus();
}

absl::Status IncomingMigrations::Arrived(absl::string_view id,
                                         std::shared_ptr<Domain> domain) {
  const std::shared_ptr<const Domain> leaving = Leaving(id);
  const std::string name = (leaving == nullptr ? *domain : *leaving).name();
  {
    absl::MutexLock lock(&mu_);
    Ledger::Row& row = *ledger_.Find(id);
    if (Ledger::Move(row, TargetEvent::kArrived).has_value()) {
      row.entry.domid = domain->id();
      row.entry.name = name;
      row.entry.domain = std::move(domain);
      return absl::OkStatus();
    }
  }
  Drop(domain);
  return Dropped(id);
}

void IncomingMigrations::CallEnded(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  Ledger::Row& row = *ledger_.Find(id);
  row.entry.cancel = nullptr;
  ledger_.End(row);
  ForgetOld();
}

absl::StatusOr<IncomingRecord> IncomingMigrations::Decide(absl::string_view id,
                                                          TargetEvent event) {
  std::shared_ptr<Domain> domain;
  IncomingRecord now;
  bool start_paused = false;
  bool coming_in = false;
  {
    absl::MutexLock lock(&mu_);
    Ledger::Row* const row = ledger_.Find(id);
    if (row == nullptr) return Unknown(id, event);
    IncomingMigration& entry = row->entry;
    const TargetState before = row->state;
    Ledger::Move(*row, event);
    if (IsDecided(row->state) && !IsDecided(before)) {
      domain = std::move(entry.domain);
      start_paused = entry.start_paused;
      if (domain != nullptr) row->shown = before;
      // The call frees what has arrived so far when it ends.
      coming_in =
          before == TargetState::kReceiving && event != TargetEvent::kBroken;
      if (coming_in && entry.cancel != nullptr) entry.cancel(Dropped(id));
    }
    now = RecordOf(id, *row);
  }
  if (coming_in) AwaitEndOfCall(id);
  if (domain == nullptr) return now;
  const bool runs = now.state == TargetState::kCommitted;
  if (runs) Run(domain, start_paused);
  LogEvent(*domain, [&] {
    return absl::StrCat("migration ", id, " from ", now.peer, ": ",
                        !runs          ? "dropped"
                        : start_paused ? "arrived, paused"
                                       : "arrived and goes on");
  });
  if (!runs) Drop(domain);
  absl::MutexLock lock(&mu_);
  ledger_.Show(id);
  return now;
}

void IncomingMigrations::AwaitEndOfCall(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  if (waiters_ == kMaxWaiters) return;
  ++waiters_;
  const auto ended = [this, id]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    const Ledger::Row* const row = ledger_.Find(id);
    return row == nullptr || row->entry.cancel == nullptr;
  };
  clock_.Await(&mu_, absl::Condition(&ended), clock_.Now() + kEndOfCall);
  --waiters_;
}

void IncomingMigrations::Run(const std::shared_ptr<Domain>& domain,
                             bool start_paused) {
  const absl::Status named = UnlessExhausted([&] {
    machine_.host().TakeOver(*domain);
    return absl::OkStatus();
  });
  if (!named.ok()) {
    spdlog::error("domain {} has arrived and cannot take over its name: {}",
                  domain->id().value(), std::string(named.message()));
  }
  // It is held, so it cannot have been destroyed.
  const absl::Status status = UnlessExhausted([&] {
    return machine_.Change(domain, [start_paused](Domain& guest) {
      return guest.migration().Resume({"resume"}, guest.Info().suspension,
                                      start_paused);
    });
  });
  if (!status.ok()) {
    spdlog::error("domain {} has arrived and cannot resume: {}",
                  domain->id().value(), std::string(status.message()));
  }
}

void IncomingMigrations::Drop(const std::shared_ptr<Domain>& domain) {
  domain->migration().EndHandover();
  UnlessExhausted([&] {
    return machine_.Destroy(domain).status();
  }).IgnoreError();
}

void IncomingMigrations::Acknowledge(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  Ledger::Row* const row = ledger_.Find(id);
  if (row == nullptr) return;
  row->entry.acknowledged = true;
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
                   "its domain is here, then decide with migrate-resolve"),
      {{fact::kValue, id}});
}

void IncomingMigrations::ForgetOld() {
  const auto may_be_asked_for = [](const Ledger::Row& row) {
    return row.state == TargetState::kCommitted && !row.entry.acknowledged;
  };
  ledger_.Forget(bounds_.ended, [&](const Ledger::Row& row) {
    return IsDecided(row.state) && !may_be_asked_for(row);
  });
  if (ledger_.Forget(bounds_.unacknowledged, may_be_asked_for) > 0) {
    forgot_committed_ = true;
  }
}

IncomingRecord IncomingMigrations::RecordOf(absl::string_view id,
                                            const Ledger::Row& row) {
  IncomingRecord out = Ledger::BeginRecord(id, row);
  out.peer = row.entry.source;
  if (row.state == TargetState::kPrepared) {
    out.why =
        "the source decides; if it is gone for good, decide here: keep or "
        "drop";
  }
  return out;
}

PlacedRecords<TargetState> IncomingMigrations::List(const MigrationPlace& from,
                                                    size_t limit) const {
  absl::MutexLock lock(&mu_);
  return ledger_.List(from, limit, RecordOf);
}

}  // namespace simvisor::server
