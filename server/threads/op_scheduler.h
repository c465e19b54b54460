// In which order the operations of one stream are done, and how many at a time.
//
// Each operation has a key; those of one key are done one after the other, in
// the order in which they were added, and those of different keys at the same
// time as far as jobs go round.  The operations of a key wait in a lane.  A
// lane that has any is either ready, and stands in a queue first come first
// served, or a job is at it.  A job takes a turn: it takes a ready lane, does
// some of its operations outside the lock, puts the lane back if it has more,
// and looks for the next.  So an operation that lasts holds up its own lane and
// one job, and nobody pays for a hop between threads per operation.  A job that
// has worked for a while ends its turn early: what is left of it goes back to
// the front of the lane, and the job makes way for others.
//
// A lane whose operations would have to wait, since somebody else is at work on
// what its key stands for, is passed over.  Where all that are ready are such,
// the job ends its turn and says for which it waits: the owner has it go on,
// for that key, where it may wait.
//
// The scheduler has no threads.  Add() says how many jobs are to be started;
// each calls Run() on a thread of the owner's choice, again and again for as
// long as that returns true.
//
// Thread safety: thread-safe.  No lock is held while operations are done.

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
  // Operations of one lane before the next one's turn, at least 1.
  size_t ops_per_turn = 256;
  // A job that has done so many, or has worked for so long, makes way for
  // others that wait for its thread.
  size_t ops_per_job = 1024;
  std::chrono::nanoseconds time_per_job = std::chrono::milliseconds(10);
};

template <typename Key, typename Op>
class OpScheduler {
 public:
  struct Entry {
    Key key;
    Op op;
  };
  // Does operations of one key, in order, and says how many: all, or at least
  // one and those that were left when is_over() came to say that the time is
  // up. Called on several threads at once, but never for one key.
  using DoTurn = std::function<size_t(std::vector<Op>& ops,
                                      absl::FunctionRef<bool()> is_over)>;
  using Clock = std::chrono::steady_clock;
  // Whether operations of a key would have to wait now; waits for nothing
  // itself.
  using IsBusy = std::function<bool(const Key& key)>;

  // What is to become of a job.
  struct Next {
    bool more = false;            // Run() must be called again; else it is over
    std::optional<Key> wait_for;  // and with this key, where it may wait
    explicit operator bool() const { return more; }
  };

  OpScheduler(
      const OpSchedulerLimits& limits, DoTurn do_turn,
      std::function<Clock::time_point()> now = Clock::now,
      IsBusy is_busy = [](const Key&) { return false; })
      : limits_(limits),
        do_turn_(std::move(do_turn)),
        now_(std::move(now)),
        is_busy_(std::move(is_busy)) {}
  OpScheduler(const OpScheduler&) = delete;
  OpScheduler& operator=(const OpScheduler&) = delete;

  // Adds operations, in order, and takes them out of `entries`.  Returns how
  // many jobs the caller must start for them.
  [[nodiscard]] size_t Add(std::vector<Entry>& entries)
      ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    auto at = lanes_.end();
    for (Entry& entry : entries) {
      // Neighbours tend to have one key.
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

  // The work of one job, until it is over or must be called again, after
  // whatever else its thread has to do.  `awaited` is what the job said it
  // waits for: that lane comes first, busy or not.  Once every operation that
  // was added is through, nothing but this object is used any more.
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
          return Next{.more = true, .wait_for = ready_.front()->first};
        }
        TakeTurn(lane, turn);
      }
      const size_t did = do_turn_(turn, is_over);
      done += did;
      // Without the lock, since the last holder of something large may go.
      turn.erase(turn.begin(), turn.begin() + did);
    }
  }

 private:
  using Lanes = absl::node_hash_map<Key, std::deque<Op>>;
  using Lane = typename Lanes::value_type;

  // Takes the lane that the job has waited for out of those that are ready, or
  // the first that is not busy; null if all are.
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
        return !is_busy_(lane->first);
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

  // `undone` is what is left of the turn.
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
  const IsBusy is_busy_;

  absl::Mutex mu_;
  // Those that are ready or that a job is at, with what waits in them.
  Lanes lanes_ ABSL_GUARDED_BY(mu_);
  std::deque<Lane*> ready_ ABSL_GUARDED_BY(mu_);
  size_t jobs_ ABSL_GUARDED_BY(mu_) = 0;
  size_t jobs_at_work_ ABSL_GUARDED_BY(mu_) = 0;  // at a lane
  size_t jobs_waiting_ ABSL_GUARDED_BY(mu_) = 0;  // for a busy one
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_OP_SCHEDULER_H_
