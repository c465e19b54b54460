#include "server/job_queue.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "domain/units/error.h"

namespace simvisor::server {

absl::Status TooManyWait(absl::string_view what, size_t most) {
  return MakeError(absl::StatusCode::kResourceExhausted,
                   Reason::kCallsExhausted,
                   absl::StrCat(most, " calls wait for ", what,
                                " already; call again when some have ended"));
}

bool JobQueue::Add(CallJob& job, std::vector<CallJob>& over) {
  if (jobs_.size() >= most_) {
    std::deque<CallJob> kept;
    for (CallJob& waiting : jobs_) {
      if (waiting.is_over()) {
        over.push_back(std::move(waiting));
      } else {
        kept.push_back(std::move(waiting));
      }
    }
    jobs_ = std::move(kept);
    if (jobs_.size() >= most_) return false;
  }
  jobs_.push_back(std::move(job));
  return true;
}

CallJob JobQueue::Take() {
  CallJob job = std::move(jobs_.front());
  jobs_.pop_front();
  return job;
}

}  // namespace simvisor::server
