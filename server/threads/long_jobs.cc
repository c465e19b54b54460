#include "server/threads/long_jobs.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace simvisor::server {

LongJobs::LongJobs(int threads, size_t max_waiting)
    : threads_(std::max(threads, 1)),
      max_waiting_(max_waiting),
      waiting_(max_waiting),
      pool_(threads_) {}

absl::Status LongJobs::Submit(CallJob& job) {
  std::vector<CallJob> over;
  bool taken = true;
  {
    absl::MutexLock lock(&mu_);
    if (at_work_ == threads_) {
      taken = waiting_.Add(job, over);
    } else {
      ++at_work_;
      pool_.Submit(
          [this, job = std::move(job)]() mutable { Work(std::move(job)); });
    }
  }
  for (CallJob& ended : over) ended.run();
  return taken ? absl::OkStatus()
               : TooManyWait("one of the threads for long work", max_waiting_);
}

void LongJobs::Work(CallJob job) {
  while (true) {
    job.run();
    job = CallJob();  // releases what it holds before the next job runs
    absl::MutexLock lock(&mu_);
    if (waiting_.empty()) {
      --at_work_;
      return;
    }
    job = waiting_.Take();
  }
}

}  // namespace simvisor::server
