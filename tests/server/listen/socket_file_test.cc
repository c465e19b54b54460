#include "server/listen/socket_file.h"

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

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/barrier.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/listen/folder_lock.h"
#include "server/listen/unique_fd.h"
#include "tests/support/scoped_folder.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

using testing::HasSubstr;

bool Exists(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0;
}

UniqueFd NewSocket() {
  return UniqueFd(
      socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

sockaddr_un NameOf(const std::string& path) {
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  return name;
}

UniqueFd BindAt(const std::string& path) {
  UniqueFd fd = NewSocket();
  const sockaddr_un name = NameOf(path);
  EXPECT_EQ(
      bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  return fd;
}

// A socket whose process is gone.
void LeaveDeadSocket(const std::string& path) { BindAt(path); }

bool CanConnect(const std::string& path) {
  const UniqueFd fd = NewSocket();
  const sockaddr_un name = NameOf(path);
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&name),
                 sizeof name) == 0;
}

// A socket with its file, as a daemon has it.
struct Server {
  UniqueFd fd = NewSocket();
  absl::StatusOr<SocketFile> file;

  explicit Server(const std::string& path, int backlog = 4)
      : file(SocketFile::Listen(fd.get(), path, backlog)) {}
  std::string message() const { return std::string(file.status().message()); }
};

class ServerSocketFileTest : public testing::Test {
 protected:
  const ScopedFolder folder_;
  const std::string path_ = folder_ / "a.sock";
};

TEST_F(ServerSocketFileTest, FreePathIsListenedOnAndLeftClean) {
  {
    const Server server(path_);
    ASSERT_THAT(server.file, IsOk());
    EXPECT_TRUE(CanConnect(path_));
    // Nothing else is made.
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()),
                            std::filesystem::directory_iterator()),
              1);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(ServerSocketFileTest, OnlyTheOwnerCanUseTheSocketWhateverTheUmask) {
  const mode_t old_mask = umask(0);
  const absl::Cleanup restore = [old_mask] { umask(old_mask); };
  const Server server(path_);
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777u, 0600u);
}

TEST_F(ServerSocketFileTest, SecondListenerIsRefusedByTheFirstOnesName) {
  const Server first(path_);
  ASSERT_THAT(first.file, IsOk());
  const Server second(path_);
  EXPECT_EQ(second.file.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(second.message(), HasSubstr(path_));
  EXPECT_THAT(second.message(), HasSubstr(absl::StrCat("process ", getpid())));
  EXPECT_TRUE(CanConnect(path_));
}

TEST_F(ServerSocketFileTest, BusyListenerCountsAsAlive) {
  const UniqueFd fd = BindAt(path_);
  ASSERT_EQ(listen(fd.get(), 0), 0);
  const UniqueFd waiting = NewSocket();
  const sockaddr_un name = NameOf(path_);
  ASSERT_EQ(connect(waiting.get(), reinterpret_cast<const sockaddr*>(&name),
                    sizeof name),
            0);
  ASSERT_FALSE(CanConnect(path_));  // the queue is full
  EXPECT_EQ(Server(path_).file.status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(Exists(path_));
}

TEST_F(ServerSocketFileTest, PathIsFreeAgainAfterItsListener) {
  { ASSERT_THAT(Server(path_).file, IsOk()); }
  EXPECT_THAT(Server(path_).file, IsOk());
}

TEST_F(ServerSocketFileTest, MovedFileIsRemovedOnce) {
  Server server(path_);
  ASSERT_THAT(server.file, IsOk());
  std::optional<SocketFile> moved(*std::move(server.file));
  server.file = absl::CancelledError();
  EXPECT_TRUE(CanConnect(path_));
  moved.reset();
  EXPECT_FALSE(Exists(path_));
}

TEST_F(ServerSocketFileTest, DeadSocketIsReplaced) {
  LeaveDeadSocket(path_);
  const Server server(path_);
  ASSERT_THAT(server.file, IsOk());
  EXPECT_TRUE(CanConnect(path_));
}

TEST_F(ServerSocketFileTest, OtherFilesAreLeftAlone) {
  std::ofstream(path_) << "precious";
  const Server server(path_);
  EXPECT_EQ(server.file.status().code(), absl::StatusCode::kFailedPrecondition);
  std::ifstream file(path_);
  std::string text;
  file >> text;
  EXPECT_EQ(text, "precious");
}

TEST_F(ServerSocketFileTest, LinkAtThePathIsNotFollowed) {
  LeaveDeadSocket(folder_ / "target");
  std::filesystem::create_symlink(folder_ / "target", path_);
  EXPECT_EQ(Server(path_).file.status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Exists(folder_ / "target"));
}

TEST_F(ServerSocketFileTest, FileThatHasTakenThePlaceStays) {
  {
    const Server server(path_);
    ASSERT_THAT(server.file, IsOk());
    std::filesystem::remove(path_);
    std::ofstream(path_) << "precious";
  }
  EXPECT_TRUE(Exists(path_));
}

TEST_F(ServerSocketFileTest, SocketThatHasTakenThePlaceStays) {
  std::optional<Server> first(std::in_place, path_);
  ASSERT_THAT(first->file, IsOk());
  std::filesystem::remove(path_);
  const Server second(path_);
  ASSERT_THAT(second.file, IsOk());
  first.reset();
  EXPECT_TRUE(CanConnect(path_));
}

TEST_F(ServerSocketFileTest, FolderThatIsNotThere) {
  const Server server(folder_ / "no/a.sock");
  EXPECT_EQ(server.file.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(server.message(), HasSubstr("no/a.sock"));
}

TEST_F(ServerSocketFileTest, FileIsFoundByAnyName) {
  const Server server(path_);
  ASSERT_THAT(server.file, IsOk());
  std::filesystem::create_symlink(folder_.path(), folder_ / "link");
  std::filesystem::create_symlink(path_, folder_ / "b.sock");
  EXPECT_TRUE(server.file->IsAt(path_));
  EXPECT_TRUE(server.file->IsAt(folder_ / "link/a.sock"));
  EXPECT_TRUE(server.file->IsAt(folder_ / "b.sock"));
  EXPECT_FALSE(server.file->IsAt(folder_ / "c.sock"));
  EXPECT_FALSE(server.file->IsAt(folder_.path()));
}

TEST_F(ServerSocketFileTest, LockedFolderIsNotWaitedForWithoutEnd) {
  const auto lock = FolderLock::Take(folder_.path(), absl::ZeroDuration());
  ASSERT_THAT(lock, IsOk());
  const Server server(path_);
  EXPECT_EQ(server.file.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(server.message(), HasSubstr("locked"));
  EXPECT_FALSE(Exists(path_));
}

TEST_F(ServerSocketFileTest, OnlyOneOfManyListensAtAnyTime) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 100;
  // No probe connection is ever accepted.
  constexpr int kBacklog = kThreads * kRounds;
  std::atomic<int> holders = 0;
  std::atomic<int> held = 0;
  auto* const start = new absl::Barrier(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      if (start->Block()) delete start;
      for (int round = 0; round < kRounds; ++round) {
        const Server server(path_, kBacklog);
        if (!server.file.ok()) continue;
        EXPECT_EQ(++holders, 1);
        ++held;
        EXPECT_TRUE(CanConnect(path_));
        --holders;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(held, 1);
}

}  // namespace
}  // namespace simvisor::server
