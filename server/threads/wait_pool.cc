#include "server/threads/wait_pool.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace simvisor::server {

WaitPool::WaitPool(size_t most) : most_(std::max<size_t>(most, 1)) {
  absl::MutexLock lock(&mu_);
  threads_.reserve(most_);
  AddThread();
}

WaitPool::~WaitPool() {
  std::vector<std::thread> threads;
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

void WaitPool::AddThread() {
  threads_.emplace_back([this] { Work(); });
  ++idle_;
}

void WaitPool::Submit(WorkerPool::Job job) {
  absl::MutexLock lock(&mu_);
  jobs_.push_back(std::move(job));
  if (stopping_ || jobs_.size() <= idle_ || threads_.size() >= most_) return;
  try {
    AddThread();
  } catch (const std::system_error&) {
    // The threads there are take the job.
  }
}

size_t WaitPool::threads() const {
  absl::MutexLock lock(&mu_);
  return threads_.size();
}

size_t WaitPool::idle() const {
  absl::MutexLock lock(&mu_);
  return idle_;
}

void WaitPool::Work() {
  while (true) {
    WorkerPool::Job job;
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(this, &WaitPool::HasWork));
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      --idle_;
    }
    job();
    job = nullptr;  // releases what it holds before the thread counts as idle
    absl::MutexLock lock(&mu_);
    ++idle_;
  }
}

}  // namespace simvisor::server
