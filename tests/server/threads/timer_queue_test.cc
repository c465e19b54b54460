#include "server/threads/timer_queue.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/random_seed.h"

namespace simvisor::server {
namespace {

using Queue = TimerQueue<uint32_t, std::string>;
using Time = Clock::Time;

Time At(int seconds) { return Time() + std::chrono::seconds(seconds); }

// The timers taken at `seconds`, in order.
std::string Taken(Queue& queue, int seconds) {
  std::string all;
  while (const auto timer = queue.TakeDue(At(seconds))) all += timer->second;
  return all;
}

TEST(ServerTimerQueueTest, EmptyOneIsNeverDue) {
  Queue queue;
  EXPECT_EQ(queue.NextDue(), Time::max());
  EXPECT_EQ(queue.TakeDue(At(1000)), std::nullopt);
}

TEST(ServerTimerQueueTest, TimersComeInTheOrderOfTimeThenOfKeys) {
  Queue queue;
  queue.Set(3, At(5), "c");
  queue.Set(1, At(7), "a");
  queue.Set(4, At(2), "d");
  queue.Set(2, At(5), "b");
  EXPECT_EQ(queue.NextDue(), At(2));
  EXPECT_EQ(Taken(queue, 1), "");
  EXPECT_EQ(Taken(queue, 6), "dbc");
  EXPECT_EQ(queue.NextDue(), At(7));
  EXPECT_EQ(Taken(queue, 7), "a");
  EXPECT_EQ(queue.size(), 0u);
}

TEST(ServerTimerQueueTest, KeyHasOneTimer) {
  Queue queue;
  queue.Set(1, At(2), "old");
  queue.Set(1, At(4), "new");
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_EQ(*queue.Find(1), "new");
  EXPECT_EQ(queue.NextDue(), At(4));
  queue.Set(1, At(1), "newest");
  EXPECT_EQ(Taken(queue, 100), "newest");
  EXPECT_EQ(queue.Find(1), nullptr);
}

TEST(ServerTimerQueueTest, CancelledTimerNeverRunsOut) {
  Queue queue;
  queue.Set(1, At(2), "a");
  queue.Set(2, At(3), "b");
  queue.Cancel(1);
  queue.Cancel(1);
  queue.Cancel(7);
  EXPECT_EQ(queue.NextDue(), At(3));
  EXPECT_EQ(Taken(queue, 100), "b");
}

// Compares random timers with a plain map.
void CompareWithMap(uint64_t seed) {
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  Queue queue;
  std::map<uint32_t, std::pair<Time, std::string>> model;
  for (int step = 0; step < 5000; ++step) {
    const auto key = static_cast<uint32_t>(random() % 20);
    const Time time = At(static_cast<int>(random() % 50));
    const uint64_t what = random() % 4;
    if (what < 2) {
      queue.Set(key, time, std::to_string(step));
      model[key] = {time, std::to_string(step)};
    } else if (what == 2) {
      queue.Cancel(key);
      model.erase(key);
    } else {
      const auto first = std::min_element(
          model.begin(), model.end(), [](const auto& a, const auto& b) {
            return a.second.first < b.second.first;
          });
      const auto taken = queue.TakeDue(time);
      ASSERT_EQ(taken.has_value(),
                first != model.end() && first->second.first <= time);
      if (taken.has_value()) {
        EXPECT_EQ(taken->first, first->first);
        EXPECT_EQ(taken->second, first->second.second);
        model.erase(first);
      }
    }
    ASSERT_EQ(queue.size(), model.size());
  }
}

TEST(ServerTimerQueueTest, AgreesWithAPlainMap) {
  for (const uint64_t seed : TestSeeds(4)) CompareWithMap(seed);
}

}  // namespace
}  // namespace simvisor::server
