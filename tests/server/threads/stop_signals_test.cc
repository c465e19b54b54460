// What signals do, each case in a separate process.

#include "server/threads/stop_signals.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace simvisor::server {
namespace {

class ServerStopSignalsTest : public testing::Test {
 protected:
  ServerStopSignalsTest() {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
  }
};

using ServerStopSignalsDeathTest = ServerStopSignalsTest;

// Exits with 0 after a drain in which signals of `kinds` arrive immediately.
void DrainUnder(std::initializer_list<int> kinds) {
  BlockStopSignals();
  kill(getpid(), SIGHUP);
  if (AwaitStopSignal() != SIGHUP) std::_Exit(1);
  {
    const DrainWatch watch(absl::Seconds(60));
    for (const int kind : kinds) {
      kill(getpid(), kind);
      absl::SleepFor(absl::Milliseconds(20));
    }
  }
  std::_Exit(0);
}

TEST_F(ServerStopSignalsDeathTest, FurtherSignalsDoNotCutADrainShort) {
  EXPECT_EXIT(DrainUnder({SIGTERM, SIGTERM, SIGHUP, SIGINT, SIGTERM}),
              testing::ExitedWithCode(0), "");
}

TEST_F(ServerStopSignalsDeathTest, LaterInterruptEndsAtOnce) {
  const auto drain = [] {
    BlockStopSignals();
    const DrainWatch watch(absl::Seconds(60));
    // Repeats it until the drain is old enough.
    while (true) {
      kill(getpid(), SIGINT);
      absl::SleepFor(absl::Milliseconds(50));
    }
  };
  EXPECT_EXIT(drain(), testing::KilledBySignal(SIGINT), "");
}

TEST_F(ServerStopSignalsDeathTest, DrainThatDoesNotEndIsEnded) {
  const auto drain = [] {
    BlockStopSignals();
    const DrainWatch watch(absl::Milliseconds(20));
    absl::SleepFor(absl::InfiniteDuration());
  };
  EXPECT_EXIT(drain(), testing::ExitedWithCode(1), "");
}

TEST_F(ServerStopSignalsDeathTest, IgnoredHangupStaysIgnored) {
  const auto drain = [] {
    signal(SIGHUP, SIG_IGN);
    BlockStopSignals();
    kill(getpid(), SIGHUP);
    kill(getpid(), SIGTERM);
    std::_Exit(AwaitStopSignal() == SIGTERM ? 0 : 1);
  };
  EXPECT_EXIT(drain(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace simvisor::server
