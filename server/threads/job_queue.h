// A bounded queue of jobs of calls, first come first served.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_SERVER_THREADS_JOB_QUEUE_H_
#define SIMVISOR_SERVER_THREADS_JOB_QUEUE_H_

#include <cstddef>
#include <deque>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace simvisor::server {

// Most jobs that wait in one queue.
inline constexpr size_t kMaxWaitingCalls = 1024;

// A step of a call.
struct CallJob {
  absl::AnyInvocable<void()> run;
  // Whether the call is over, so that `run` only ends it.
  absl::AnyInvocable<bool()> is_over;
};

// RESOURCE_EXHAUSTED CALLS_EXHAUSTED: `most` calls wait for `what`.
absl::Status TooManyWait(absl::string_view what, size_t most);

class JobQueue {
 public:
  explicit JobQueue(size_t most) : most_(most) {}

  bool empty() const { return jobs_.empty(); }

  // Adds `job` and returns true; or returns false and leaves `job` as it is, if
  // the queue is full.  A full queue first moves the jobs of calls that are
  // over to `over`; the caller must run them.
  [[nodiscard]] bool Add(CallJob& job, std::vector<CallJob>& over);

  // Adds `job` even if the queue is full; it does not count against the limit.
  void AddAlways(CallJob job) { jobs_.push_back({std::move(job), false}); }

  // Takes the first job.
  // REQUIRES: !empty().
  CallJob Take();

 private:
  struct Entry {
    CallJob job;
    bool has_place;  // counts against the limit
  };

  const size_t most_;
  size_t places_taken_ = 0;
  std::deque<Entry> jobs_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_JOB_QUEUE_H_
