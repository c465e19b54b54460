#include "server/threads/domain_lanes.h"

#include <utility>
#include <vector>

namespace simvisor::server {

DomainLanes::DomainLanes(int threads, size_t max_waiting)
    : max_waiting_(max_waiting), pool_(threads) {}

bool DomainLanes::Enter(const Domain* domain) {
  {
    absl::MutexLock lock(&mu_);
    if (lanes_.contains(domain)) return false;
    if (!entered_.insert(domain).second) return false;
  }
  if (domain->TryPages().has_value()) return true;
  Leave(domain);
  return false;
}

void DomainLanes::Leave(const Domain* domain) {
  absl::MutexLock lock(&mu_);
  entered_.erase(domain);
}

absl::Status DomainLanes::Submit(const Domain* domain, CallJob& job) {
  std::vector<CallJob> over;
  bool taken = false;
  {
    absl::MutexLock lock(&mu_);
    const auto [lane, is_new] = lanes_.try_emplace(domain, max_waiting_);
    taken = lane->second.Add(job, over);
    if (is_new && taken) pool_.Submit([this, domain] { Work(domain); });
  }
  for (CallJob& ended : over) ended.run();
  return taken ? absl::OkStatus() : TooManyWait("this domain", max_waiting_);
}

void DomainLanes::SubmitAlways(const Domain* domain, CallJob job) {
  absl::MutexLock lock(&mu_);
  const auto [lane, is_new] = lanes_.try_emplace(domain, max_waiting_);
  lane->second.AddAlways(std::move(job));
  if (is_new) pool_.Submit([this, domain] { Work(domain); });
}

void DomainLanes::Work(const Domain* domain) {
  CallJob job;
  {
    absl::MutexLock lock(&mu_);
    JobQueue& lane = lanes_.at(domain);
    if (!lane.empty()) job = lane.Take();
  }
  if (job.run) job.run();
  job = CallJob();  // releases what it holds before the next job runs
  absl::MutexLock lock(&mu_);
  const auto lane = lanes_.find(domain);
  if (lane->second.empty()) {
    lanes_.erase(lane);
  } else {
    // Other lanes take their turns in between.
    pool_.Submit([this, domain] { Work(domain); });
  }
}

}  // namespace simvisor::server
