#include "server/threads/bounded_jobs.h"

#include <algorithm>
#include <utility>

namespace simvisor::server {

BoundedJobs::BoundedJobs(WorkerPool* pool, int at_once)
    : pool_(pool), at_once_(std::max(at_once, 1)) {}

void BoundedJobs::Submit(WorkerPool::Job job) {
  {
    absl::MutexLock lock(&mu_);
    if (at_work_ == at_once_) return waiting_.push_back(std::move(job));
    ++at_work_;
  }
  Start(std::move(job));
}

void BoundedJobs::Start(WorkerPool::Job job) {
  pool_->Submit(
      [this, job = std::move(job)]() mutable { Run(std::move(job)); });
}

void BoundedJobs::Run(WorkerPool::Job job) {
  job();
  job = nullptr;  // releases what it holds before the next job runs
  {
    absl::MutexLock lock(&mu_);
    if (waiting_.empty()) {
      --at_work_;
      return;
    }
    job = std::move(waiting_.front());
    waiting_.pop_front();
  }
  Start(std::move(job));
}

}  // namespace simvisor::server
