// Timers in the order of their due times, at most one per key.
//
// Has neither a thread nor a clock: the owner sleeps until NextDue() and then
// takes the timers that are due.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_SERVER_THREADS_TIMER_QUEUE_H_
#define SIMVISOR_SERVER_THREADS_TIMER_QUEUE_H_

#include <cassert>
#include <cstddef>
#include <optional>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "server/threads/clock.h"

namespace simvisor::server {

// Key: can be hashed and ordered.
template <typename Key, typename Value>
class TimerQueue {
 public:
  using Time = Clock::Time;
  using Timer = std::pair<Key, Value>;

  // Sets the timer of `key`, replacing any earlier one.  Throws std::bad_alloc
  // if there is no memory; `key` has no timer then.
  void Set(const Key& key, Time due, Value value) {
    Cancel(key);
    const auto at = order_.emplace(due, key).first;
    try {
      timers_.emplace(key, Entry{due, std::move(value)});
    } catch (...) {
      order_.erase(at);
      throw;
    }
    assert(timers_.size() == order_.size());
  }

  // A no-op if `key` has no timer.
  void Cancel(const Key& key) {
    const auto at = timers_.find(key);
    if (at == timers_.end()) return;
    order_.erase({at->second.due, key});
    timers_.erase(at);
  }

  // The value that the timer of `key` was set with, valid until the queue
  // changes; null if `key` has no timer.
  const Value* Find(const Key& key) const {
    const auto at = timers_.find(key);
    return at == timers_.end() ? nullptr : &at->second.value;
  }

  // When the timer of `key` is due; nullopt if it has none.
  std::optional<Time> DueOf(const Key& key) const {
    const auto at = timers_.find(key);
    if (at == timers_.end()) return std::nullopt;
    return at->second.due;
  }

  // When the first timer is due; Time::max() if there is none.
  Time NextDue() const {
    return order_.empty() ? Time::max() : order_.begin()->first;
  }

  // Takes the first timer if it is due at `now`; of several due at the same
  // time, the one with the least key comes first.
  std::optional<Timer> TakeDue(Time now) {
    if (order_.empty() || order_.begin()->first > now) return std::nullopt;
    const auto at = timers_.find(order_.begin()->second);
    Timer timer(at->first, std::move(at->second.value));
    order_.erase(order_.begin());
    timers_.erase(at);
    return timer;
  }

  size_t size() const { return timers_.size(); }

 private:
  struct Entry {
    Time due;
    Value value;
  };

  absl::flat_hash_map<Key, Entry> timers_;
  std::set<std::pair<Time, Key>> order_;  // the same, by time
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_TIMER_QUEUE_H_
