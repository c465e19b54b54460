// Orders the operations of one stream, and runs several at a time.
//
// Each operation has a key.  Operations with the same key run one after
// another, in the order in which they were added; those with different keys run
// at the same time, as far as there are jobs.  The operations of a key wait in
// a lane.  A lane with operations is either in the queue of ready lanes, first
// come first served, or held by a job.  A job takes turns: it takes a ready
// lane, runs some of its operations outside the lock, puts the lane back if it
// has more, and takes the next.  So a long operation blocks only its own lane
// and one job, and operations do not cost a thread switch each.  A job that has
// run for a while ends its turn early: the rest of the turn goes back to the
// front of the lane, and the job makes way for others.
//
// A lane is skipped while its next operation would have to wait, because its
// key stands for something that is in use.  If all ready lanes are such, the
// job returns one of their keys, and the owner calls Run() again, with that
// key, where it may wait that long.
//
// The scheduler has no threads.  Add() returns how many jobs to start; each job
// calls Run() on a thread of the owner's choice, again and again as long as it
// returns true.
//
// Thread safety: thread-safe.  No lock is held while operations run.

#ifndef SIMVISOR_SERVER_THREADS_OP_SCHEDULER_H_
#define SIMVISOR_SERVER_THREADS_OP_SCHEDULER_H_

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/node_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"

namespace simvisor::server {

struct OpSchedulerLimits {
  // Jobs at a time, at least 1.
  size_t jobs = 8;
  // Operations of one lane per turn, at least 1.
  size_t ops_per_turn = 256;
  // A job that has done this many operations, or has run for this long, makes
  // way for others that wait for its thread.
  size_t ops_per_job = 1024;
  std::chrono::nanoseconds time_per_job = std::chrono::milliseconds(10);
};

// How long an operation would have to wait before it can begin or go on.
enum class OpWait {
  kNone,
  kBrief,  // for other operations
  kLong,   // maybe for a client
};

template <typename Key, typename Op>
class OpScheduler {
 public:
  struct Entry {
    Key key;
    Op op;
  };
  // Runs operations of one key, in order, and returns how many: all of `ops`,
  // or, once is_over() returns true, at least one.  Called on several threads
  // at once, but never for the same key at the same time.
  using DoTurn = std::function<size_t(std::vector<Op>& ops,
                                      absl::FunctionRef<bool()> is_over)>;
  using Clock = std::chrono::steady_clock;
  // Whether the next operation of a key would have to wait now.  Does not
  // block.
  using WaitOf = std::function<OpWait(const Key& key, const Op& next)>;

  // What the owner must do with a job.
  struct Next {
    bool more = false;            // call Run() again; else the job has ended
    std::optional<Key> wait_for;  // call it with this key, where it may wait
    OpWait wait = OpWait::kNone;  // how long
    explicit operator bool() const { return more; }
  };

  OpScheduler(
      const OpSchedulerLimits& limits, DoTurn do_turn,
      std::function<Clock::time_point()> now = Clock::now,
      WaitOf wait_of = [](const Key&, const Op&) { return OpWait::kNone; })
      : limits_(limits),
        do_turn_(std::move(do_turn)),
        now_(std::move(now)),
        wait_of_(std::move(wait_of)) {}
  OpScheduler(const OpScheduler&) = delete;
  OpScheduler& operator=(const OpScheduler&) = delete;

  // Adds the operations in order and clears `entries`.  Returns how many jobs
  // the caller must start for them.
  [[nodiscard]] size_t Add(std::vector<Entry>& entries)
      ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    auto at = lanes_.end();
    for (Entry& entry : entries) {
      // Neighbours tend to have the same key.
      if (at == lanes_.end() || at->first != entry.key) {
        const auto [lane, is_new] = lanes_.try_emplace(entry.key);
        if (is_new) ready_.push_back(&*lane);
        at = lane;
      }
      at->second.push_back(std::move(entry.op));
    }
    entries.clear();
    const size_t free = jobs_ - jobs_at_work_ - jobs_waiting_;
    if (ready_.size() <= free) return 0;
    const size_t more = std::min(ready_.size() - free, limits_.jobs - jobs_);
    jobs_ += more;
    return more;
  }

  // Runs one job until it ends or must make way for other work of its thread.
  // `awaited` is the key that the job returned last: that lane comes first,
  // busy or not.  Once all operations that were added are done, this uses
  // nothing except this object.
  [[nodiscard]] Next Run(std::optional<Key> awaited = std::nullopt)
      ABSL_LOCKS_EXCLUDED(mu_) {
    const Clock::time_point end = now_() + limits_.time_per_job;
    const auto is_over = [this, end] { return now_() >= end; };
    std::vector<Op> turn;
    Lane* lane = nullptr;
    size_t done = 0;
    while (true) {
      const bool yields = done >= limits_.ops_per_job || is_over();
      {
        absl::MutexLock lock(&mu_);
        if (lane != nullptr) PutBack(lane, turn);
        if (awaited.has_value()) --jobs_waiting_;
        if (ready_.empty()) {
          --jobs_;
          return Next{};
        }
        if (yields && lane != nullptr)
          return Next{.more = true, .wait_for = std::nullopt};
        lane = TakeReady(std::exchange(awaited, std::nullopt));
        if (lane == nullptr) {
          ++jobs_waiting_;
          const Lane& first = *ready_.front();
          return Next{.more = true,
                      .wait_for = first.first,
                      .wait = wait_of_(first.first, first.second.front())};
        }
        TakeTurn(lane, turn);
      }
      const size_t did = do_turn_(turn, is_over);
      done += did;
      // Without the lock: an operation may be the last owner of something
      // large.
      turn.erase(turn.begin(), turn.begin() + did);
    }
  }

 private:
  using Lanes = absl::node_hash_map<Key, std::deque<Op>>;
  using Lane = typename Lanes::value_type;

  // Takes the awaited lane from the ready ones, or the first that is not busy;
  // null if all are busy.
  Lane* TakeReady(const std::optional<Key>& awaited)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    auto at = ready_.end();
    if (awaited.has_value()) {
      at = std::find_if(ready_.begin(), ready_.end(), [&](const Lane* lane) {
        return lane->first == *awaited;
      });
    }
    if (at == ready_.end()) {
      at = std::find_if(ready_.begin(), ready_.end(), [&](const Lane* lane) {
        return wait_of_(lane->first, lane->second.front()) == OpWait::kNone;
      });
    }
    if (at == ready_.end()) return nullptr;
    Lane* const lane = *at;
    ready_.erase(at);
    return lane;
  }

  void TakeTurn(Lane* lane, std::vector<Op>& turn)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    ++jobs_at_work_;
    std::deque<Op>& ops = lane->second;
    const auto end = ops.begin() + std::min(ops.size(), limits_.ops_per_turn);
    turn.assign(std::make_move_iterator(ops.begin()),
                std::make_move_iterator(end));
    ops.erase(ops.begin(), end);
  }

  // `undone`: the rest of the turn.
  void PutBack(Lane* lane, std::vector<Op>& undone)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    --jobs_at_work_;
    lane->second.insert(lane->second.begin(),
                        std::make_move_iterator(undone.begin()),
                        std::make_move_iterator(undone.end()));
    if (lane->second.empty()) {
      lanes_.erase(lane->first);
    } else {
      ready_.push_back(lane);
    }
  }

  // Constant after construction.
  const OpSchedulerLimits limits_;
  const DoTurn do_turn_;
  const std::function<Clock::time_point()> now_;
  const WaitOf wait_of_;

  absl::Mutex mu_;
  // The lanes that are ready or held by a job, with their waiting operations.
  Lanes lanes_ ABSL_GUARDED_BY(mu_);
  std::deque<Lane*> ready_ ABSL_GUARDED_BY(mu_);
  size_t jobs_ ABSL_GUARDED_BY(mu_) = 0;
  size_t jobs_at_work_ ABSL_GUARDED_BY(mu_) = 0;  // holding a lane
  size_t jobs_waiting_ ABSL_GUARDED_BY(mu_) = 0;  // for a busy lane
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_OP_SCHEDULER_H_
