#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/barrier.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/socket_guard.h"
#include "server/unique_fd.h"
#include "tests/scoped_folder.h"
#include "tests/status_matchers.h"

namespace simvisor::server {
namespace {

using testing::HasSubstr;

bool Exists(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0;
}

UniqueFd BindAt(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  EXPECT_EQ(
      bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  return fd;
}

// A socket whose process is gone.
void LeaveDeadSocket(const std::string& path) { BindAt(path); }

std::string MessageOf(const absl::StatusOr<SocketGuard>& result) {
  return std::string(result.status().message());
}

class ServerSocketGuardTest : public testing::Test {
 protected:
  const ScopedFolder folder_;
  const std::string path_ = folder_ / "a.sock";
};

TEST_F(ServerSocketGuardTest, FreePathIsGivenAndLeftClean) {
  {
    const auto guard = SocketGuard::Acquire(path_);
    ASSERT_THAT(guard, IsOk());
    LeaveDeadSocket(path_);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(ServerSocketGuardTest, SecondHolderIsRefused) {
  const auto guard = SocketGuard::Acquire(path_);
  ASSERT_THAT(guard, IsOk());
  const auto second = SocketGuard::Acquire(path_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(MessageOf(second), HasSubstr(path_));
  EXPECT_THAT(MessageOf(second), HasSubstr("another simvisord"));
}

TEST_F(ServerSocketGuardTest, RightIsFreeAgainAfterItsHolder) {
  { ASSERT_THAT(SocketGuard::Acquire(path_), IsOk()); }
  EXPECT_THAT(SocketGuard::Acquire(path_), IsOk());
}

TEST_F(ServerSocketGuardTest, MovedGuardStillHolds) {
  auto guard = SocketGuard::Acquire(path_);
  ASSERT_THAT(guard, IsOk());
  std::optional<SocketGuard> moved(*std::move(guard));
  EXPECT_FALSE(SocketGuard::Acquire(path_).ok());
  moved.reset();
  EXPECT_THAT(SocketGuard::Acquire(path_), IsOk());
}

TEST_F(ServerSocketGuardTest, DeadSocketIsRemoved) {
  LeaveDeadSocket(path_);
  ASSERT_TRUE(Exists(path_));
  const auto guard = SocketGuard::Acquire(path_);
  ASSERT_THAT(guard, IsOk());
  EXPECT_FALSE(Exists(path_));
}

TEST_F(ServerSocketGuardTest, LockFileOfADeadDaemonDoesNotMatter) {
  std::ofstream(path_ + ".lock") << "";
  EXPECT_THAT(SocketGuard::Acquire(path_), IsOk());
}

TEST_F(ServerSocketGuardTest, SocketThatAnswersIsLeftAlone) {
  const UniqueFd server = BindAt(path_);
  ASSERT_EQ(listen(server.get(), 1), 0);
  const auto guard = SocketGuard::Acquire(path_);
  EXPECT_EQ(guard.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(Exists(path_));
}

TEST_F(ServerSocketGuardTest, OtherFilesAreLeftAlone) {
  std::ofstream(path_) << "precious";
  const auto guard = SocketGuard::Acquire(path_);
  EXPECT_EQ(guard.status().code(), absl::StatusCode::kFailedPrecondition);
  std::ifstream file(path_);
  std::string text;
  file >> text;
  EXPECT_EQ(text, "precious");
  EXPECT_FALSE(Exists(path_ + ".lock"));
}

TEST_F(ServerSocketGuardTest, FolderThatIsNotThere) {
  const auto guard = SocketGuard::Acquire(folder_ / "no/a.sock");
  EXPECT_EQ(guard.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(MessageOf(guard), HasSubstr("no/a.sock"));
}

TEST_F(ServerSocketGuardTest, OfManyAtOnceOneHoldsAtAnyTime) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 200;
  std::atomic<int> holders = 0;
  std::atomic<int> held = 0;
  auto* const start = new absl::Barrier(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      if (start->Block()) delete start;
      for (int round = 0; round < kRounds; ++round) {
        const auto guard = SocketGuard::Acquire(path_);
        if (!guard.ok()) continue;
        EXPECT_EQ(++holders, 1);
        ++held;
        --holders;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(held, 1);
}

}  // namespace
}  // namespace simvisor::server
