#include "client/ui/exit_signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

using testing::ExitedWithCode;
using testing::KilledBySignal;

constexpr std::array kSignals = {SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM};
constexpr int64_t kNsPerSecond = 1'000'000'000;

int64_t fake_now_ns = 0;
int64_t FakeNow() { return fake_now_ns; }

// Ends a child that has not done what it must; its parent then sees the code.
void Require(bool holds) {
  if (!holds) _exit(9);
}

// In a child, like each function below, with the signals as a shell gives them.
void TakeSignals() {
  for (const int signal : kSignals) std::signal(signal, SIG_DFL);
}

void NoteAndFinish(int signal) {
  TakeSignals();
  const Interruption interruption;
  Require(interruption.signal() == 0);
  Require(interruption.age() == absl::ZeroDuration());
  std::raise(signal);
  Require(interruption.signal() == signal);
  std::fputs("finished", stderr);
}

TEST(InterruptionTest, SignalWaitsForTheCommandAndThenEndsTheProgram) {
  for (const int signal : {SIGHUP, SIGINT, SIGPIPE, SIGTERM}) {
    EXPECT_EXIT(NoteAndFinish(signal), KilledBySignal(signal), "finished");
  }
}

TEST(InterruptionTest, WithoutASignalTheProgramGoesOn) {
  EXPECT_EXIT(
      {
        TakeSignals();
        { const Interruption interruption; }
        std::exit(0);
      },
      ExitedWithCode(0), "");
}

void ComeTwice(int second, int64_t after_ns) {
  TakeSignals();
  fake_now_ns = 5 * kNsPerSecond;
  const Interruption interruption(&FakeNow);
  std::raise(SIGTERM);
  fake_now_ns += after_ns;
  std::raise(second);
  Require(interruption.signal() == SIGTERM);
  Require(interruption.age() == absl::Nanoseconds(after_ns));
  std::fputs("finished", stderr);
}

TEST(InterruptionTest, LaterSignalsChangeNothing) {
  for (const int second : {SIGHUP, SIGTERM}) {
    EXPECT_EXIT(ComeTwice(second, 60 * kNsPerSecond), KilledBySignal(SIGTERM),
                "finished");
  }
  EXPECT_EXIT(ComeTwice(SIGINT, kNsPerSecond - 1), KilledBySignal(SIGTERM),
              "finished");
}

TEST(InterruptionTest, InterruptASecondLaterEndsTheProgramAtOnce) {
  EXPECT_EXIT(ComeTwice(SIGINT, kNsPerSecond), KilledBySignal(SIGINT), "^$");
}

TEST(InterruptionTest, QuitEndsTheProgramAtOnce) {
  EXPECT_EXIT(NoteAndFinish(SIGQUIT), KilledBySignal(SIGQUIT), "^$");
}

TEST(InterruptionTest, SignalThatWasIgnoredStaysIgnored) {
  EXPECT_EXIT(
      {
        TakeSignals();
        std::signal(SIGHUP, SIG_IGN);
        {
          const Interruption interruption;
          std::raise(SIGHUP);
          Require(interruption.signal() == 0);
        }
        std::exit(0);
      },
      ExitedWithCode(0), "");
}

// `wait` must return because of a signal, and would not without one.
void WaitAfterASignal(absl::FunctionRef<void(const Interruption&)> wait) {
  TakeSignals();
  const Interruption interruption;
  std::raise(SIGTERM);
  wait(interruption);
  std::fputs("finished", stderr);
}

TEST(InterruptionTest, WaitsEndWithASignal) {
  EXPECT_EXIT(WaitAfterASignal([](const Interruption& interruption) {
                interruption.Wait(absl::Hours(1));
              }),
              KilledBySignal(SIGTERM), "finished");
  std::array<int, 2> ends;
  ASSERT_EQ(pipe(ends.data()), 0);
  EXPECT_EXIT(WaitAfterASignal([&](const Interruption& interruption) {
                Require(!interruption.AwaitReadable(ends[0]));
              }),
              KilledBySignal(SIGTERM), "finished");
  close(ends[0]);
  close(ends[1]);
}

TEST(InterruptionTest, DescriptorsThatAreReadyAreNotWaitedFor) {
  std::array<int, 2> ends;
  ASSERT_EQ(pipe(ends.data()), 0);
  const Interruption interruption;
  EXPECT_TRUE(interruption.AwaitWritable(ends[1]));
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  EXPECT_TRUE(interruption.AwaitReadable(ends[0]));
  char byte;
  ASSERT_EQ(read(ends[0], &byte, 1), 1);
  close(ends[1]);
  EXPECT_TRUE(interruption.AwaitReadable(ends[0])) << "it is broken";
  close(ends[0]);
}

// A guard and an interruption at the same time, as while a domain is saved.
class BothTest : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(folder_ / "part") << "unfinished";
    folder_fd_ = open(folder_.path().c_str(), O_RDONLY | O_DIRECTORY);
    ASSERT_GE(folder_fd_, 0);
  }
  void TearDown() override { close(folder_fd_); }

  bool HasFile() const { return faccessat(folder_fd_, "part", F_OK, 0) == 0; }

  void EndWhileTheFileIsUnfinished() {
    TakeSignals();
    ExitGuard guard;
    guard.Remove(folder_fd_, "part");
    const Interruption interruption;
    std::raise(SIGTERM);
    Require(interruption.signal() == SIGTERM && HasFile());
  }

  void InterruptTwice() {
    TakeSignals();
    fake_now_ns = 0;
    const Interruption interruption(&FakeNow);
    ExitGuard guard;
    guard.Remove(folder_fd_, "part");
    std::raise(SIGINT);
    Require(HasFile());
    fake_now_ns = kNsPerSecond;
    std::raise(SIGINT);
    _exit(8);
  }

  void InterruptStepsThatBelongTogether() {
    TakeSignals();
    ExitGuard guard;
    guard.Remove(folder_fd_, "part");
    guard.HoldOff();
    {
      const Interruption interruption;
      std::raise(SIGTERM);
    }
    std::fputs("held off", stderr);
  }

  const ScopedFolder folder_;
  int folder_fd_ = -1;
};

TEST_F(BothTest, FileGoesWhenTheInterruptionEndsTheProgram) {
  EXPECT_EXIT(EndWhileTheFileIsUnfinished(), KilledBySignal(SIGTERM), "");
  EXPECT_FALSE(HasFile());
}

TEST_F(BothTest, FileGoesWhenASecondInterruptEndsTheProgram) {
  EXPECT_EXIT(InterruptTwice(), KilledBySignal(SIGINT), "");
  EXPECT_FALSE(HasFile());
}

TEST_F(BothTest, InterruptionWaitsForStepsThatBelongTogether) {
  EXPECT_EXIT(InterruptStepsThatBelongTogether(), KilledBySignal(SIGTERM),
              "held off");
  EXPECT_TRUE(HasFile());
}

}  // namespace
}  // namespace simvisor::client
