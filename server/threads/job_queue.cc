#include "server/threads/job_queue.h"

#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace simvisor::server {

absl::Status TooManyWait(absl::string_view what, size_t most) {
  return MakeError(
      absl::StatusCode::kResourceExhausted, Reason::kCallsExhausted,
      absl::StrCat(most, " calls wait for ", what,
                   " already; call again when some have ended"),
      {{fact::kValue, what}, {fact::kLimit, most}, {fact::kUnit, "calls"}});
}

bool JobQueue::Add(CallJob& job, std::vector<CallJob>& over) {
  if (places_taken_ >= most_) {
    std::deque<Entry> kept;
    for (Entry& waiting : jobs_) {
      if (waiting.has_place && waiting.job.is_over()) {
        over.push_back(std::move(waiting.job));
        --places_taken_;
      } else {
        kept.push_back(std::move(waiting));
      }
    }
    jobs_ = std::move(kept);
    if (places_taken_ >= most_) return false;
  }
  jobs_.push_back({std::move(job), true});
  ++places_taken_;
  return true;
}

CallJob JobQueue::Take() {
  assert(!empty());
  Entry first = std::move(jobs_.front());
  jobs_.pop_front();
  if (first.has_place) --places_taken_;
  return std::move(first.job);
}

}  // namespace simvisor::server
