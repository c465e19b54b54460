#include "server/migration/migration_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace simvisor::server {

MigrationQueue::MigrationQueue(const Bounds& bounds)
    : bounds_(bounds), pool_(bounds.threads) {}

absl::Status MigrationQueue::Submit(const void* call, absl::string_view target,
                                    WorkerPool::Job job) {
  absl::MutexLock lock(&mu_);
  const size_t calls = waiting_.size() + static_cast<size_t>(running_);
  if (calls >= bounds_.calls) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, Reason::kCallsExhausted,
        absl::StrCat("migrate to ", target, ": ", calls,
                     " migrations run or wait, and no more can at a time; wait "
                     "until some have ended"),
        {{fact::kOperation, "migrate"},
         {fact::kLimit, calls},
         {fact::kUnit, "migrations"}});
  }
  waiting_.push_back({call, std::string(target), std::move(job)});
  StartSome();
  return absl::OkStatus();
}

bool MigrationQueue::Withdraw(const void* call) {
  absl::MutexLock lock(&mu_);
  const auto at =
      std::find_if(waiting_.begin(), waiting_.end(),
                   [call](const Waiting& one) { return one.call == call; });
  if (at == waiting_.end()) return false;
  waiting_.erase(at);
  return true;
}

void MigrationQueue::StartSome() {
  for (auto at = waiting_.begin();
       at != waiting_.end() && running_ < bounds_.threads;) {
    const auto to = running_to_.find(at->target);
    if (to != running_to_.end() && to->second >= bounds_.per_target) {
      ++at;
      continue;
    }
    ++running_;
    ++running_to_[at->target];
    pool_.Submit(
        [this, target = at->target, job = std::move(at->job)]() mutable {
          job();
          Ended(target);
        });
    at = waiting_.erase(at);
  }
}

void MigrationQueue::Ended(const std::string& target) {
  absl::MutexLock lock(&mu_);
  --running_;
  const auto to = running_to_.find(target);
  if (--to->second == 0) running_to_.erase(to);
  StartSome();
}

}  // namespace simvisor::server
