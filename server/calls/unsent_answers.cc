#include "server/calls/unsent_answers.h"

#include <grpc/grpc.h>

#include <cassert>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "base/error.h"
#include "server/calls/cancel_call.h"

namespace simvisor::server {
namespace {

constexpr absl::Duration kBetweenLooks = absl::Milliseconds(100);

}  // namespace

void UnsentAnswers::Entry::Remove() {
  if (answers_ == nullptr) return;
  absl::MutexLock lock(&answers_->mu_);
  (before_ != nullptr ? before_->after_ : answers_->first_) = after_;
  if (after_ != nullptr) after_->before_ = before_;
  answers_ = nullptr;
}

void UnsentAnswers::Add(Entry* entry, size_t size) {
  assert(entry->answers_ == nullptr);
  entry->until_ = absl::Now() + patience_ +
                  absl::Seconds(static_cast<double>(size) / kBytesPerSecond);
  absl::MutexLock lock(&mu_);
  entry->answers_ = this;
  entry->before_ = nullptr;
  entry->after_ = std::exchange(first_, entry);
  if (entry->after_ != nullptr) entry->after_->before_ = entry;
}

size_t UnsentAnswers::CancelOverdue() {
  const absl::Time now = absl::Now();
  std::vector<grpc_call*> overdue;
  {
    absl::MutexLock lock(&mu_);
    if (now - looked_at_ < kBetweenLooks) return 0;
    looked_at_ = now;
    for (const Entry* entry = first_; entry != nullptr; entry = entry->after_) {
      if (entry->until_ > now) continue;
      overdue.push_back(entry->context_->c_call());
      grpc_call_ref(overdue.back());
    }
  }
  const absl::Status why =
      MakeError(absl::StatusCode::kAborted, Reason::kCallStalled,
                "the client has not read the answer for too long, and other "
                "calls needed its memory; call again and read");
  // Without the lock: a call may end, and remove its entry, while it is being
  // cancelled.
  for (grpc_call* const call : overdue) {
    CancelCall(call, why);
    grpc_call_unref(call);
  }
  return overdue.size();
}

}  // namespace simvisor::server
