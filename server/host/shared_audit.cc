#include "server/host/shared_audit.h"

#include "base/error.h"

namespace simvisor::server {

SharedAudit::Ticket SharedAudit::Ask(Done done) {
  Ticket ticket = 0;
  Done refused;
  bool start = false;
  {
    absl::MutexLock lock(&mu_);
    ticket = ++last_ticket_;
    if (waiting_.size() < max_waiting_) {
      waiting_.emplace(ticket, std::move(done));
      start = !busy_;
      busy_ = true;
    } else {
      refused = std::move(done);
    }
  }
  if (refused) refused(TooManyWait("an audit", max_waiting_), AuditReport());
  if (start) Start();
  return ticket;
}

bool SharedAudit::Leave(Ticket ticket) {
  Done done;  // destroyed after the lock is released
  absl::MutexLock lock(&mu_);
  for (Callers* callers : {&waiting_, &served_}) {
    const auto at = callers->find(ticket);
    if (at == callers->end()) continue;
    done = std::move(at->second);
    callers->erase(at);
    return true;
  }
  return false;
}

void SharedAudit::Start() {
  // Never over: callers may join until the run begins.
  CallJob job = {.run = [self = shared_from_this()] { self->Work(); },
                 .is_over = [] { return false; }};
  const absl::Status status = submit_(job);
  if (status.ok()) return;
  Callers refused;
  {
    absl::MutexLock lock(&mu_);
    busy_ = false;
    refused.swap(waiting_);
  }
  Answer(refused, status, AuditReport());
}

void SharedAudit::Work() {
  {
    absl::MutexLock lock(&mu_);
    served_.swap(waiting_);
  }
  const auto stop = [this] {
    return IsWanted()
               ? absl::OkStatus()
               : MakeError(absl::StatusCode::kCancelled, Reason::kCancelled,
                           "the audit's callers have all gone");
  };
  AuditReport report;
  absl::Status status = stop();
  if (status.ok()) status = run_(stop, report);
  Callers served;
  bool again = false;
  {
    absl::MutexLock lock(&mu_);
    served.swap(served_);
    again = !waiting_.empty();
    busy_ = again;
  }
  Answer(served, status, report);
  if (again) Start();
}

bool SharedAudit::IsWanted() const {
  absl::MutexLock lock(&mu_);
  return !served_.empty();
}

void SharedAudit::Answer(Callers& callers, const absl::Status& status,
                         const AuditReport& report) {
  for (auto& [ticket, done] : callers) done(status, report);
}

}  // namespace simvisor::server
