#include "server/calls/idle_calls.h"

#include "absl/status/status.h"
#include "base/error.h"
#include "server/calls/cancel_call.h"

namespace simvisor::server {

void IdleCalls::Add(Entry* entry) {
  const absl::Time now = absl::Now();
  absl::MutexLock lock(&mu_);
  if (entry->waits_) return;
  entry->since_ = now;
  entry->waits_ = true;
  entry->at_ = waiting_.insert(waiting_.end(), entry);
}

void IdleCalls::Remove(Entry* entry) {
  absl::MutexLock lock(&mu_);
  if (!entry->waits_) return;
  entry->waits_ = false;
  waiting_.erase(entry->at_);
}

bool IdleCalls::CancelOldest() {
  const absl::Time now = absl::Now();
  absl::MutexLock lock(&mu_);
  if (waiting_.empty()) return false;
  Entry* const oldest = waiting_.front();
  if (now - oldest->since_ < long_enough_) return false;
  oldest->waits_ = false;
  waiting_.pop_front();
  // Under the lock, since the call may end as soon as it can remove its entry.
  // gRPC never notifies a call on the thread that cancels it.
  CancelCall(
      oldest->context_,
      MakeError(absl::StatusCode::kAborted, Reason::kCallStalled,
                "the stream has been idle for too long, and another call "
                "needed its place; call again"));
  return true;
}

}  // namespace simvisor::server
