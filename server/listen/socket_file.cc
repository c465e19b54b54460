#include "server/listen/socket_file.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "server/listen/folder_lock.h"
#include "server/listen/peer_name.h"
#include "server/listen/unique_fd.h"

namespace simvisor::server {
namespace {

// Another daemon holds the lock for less than a millisecond.
constexpr absl::Duration kPatience = absl::Seconds(2);

absl::Status CannotListen(const std::string& path, const absl::Status& why) {
  return absl::Status(why.code(), absl::StrCat("cannot listen on unix:", path,
                                               ": ", why.message()));
}

absl::Status SystemError(const std::string& path, absl::string_view doing) {
  return CannotListen(path, absl::ErrnoToStatus(errno, doing));
}

std::string FolderOf(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}

// REQUIRES: `path` fits into a sockaddr_un.
sockaddr_un NameOf(const std::string& path) {
  sockaddr_un name = {};
  assert(path.size() < sizeof(name.sun_path));
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  return name;
}

absl::Status InUse(const std::string& path, absl::string_view by) {
  return absl::AlreadyExistsError(absl::StrCat(
      "cannot listen on unix:", path, ": ", by,
      " listens there; stop it, or choose another address with --listen"));
}

// OK if no process listens at the socket `path`.
absl::Status CheckDead(const std::string& path) {
  const UniqueFd probe(
      socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return SystemError(path, "cannot probe it");
  const sockaddr_un name = NameOf(path);
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&name),
              sizeof name) == 0) {
    return InUse(path, PeerName(probe.get()));
  }
  // A process listens, but its queue is full.
  if (errno == EAGAIN) return InUse(path, "another process");
  if (errno == ECONNREFUSED || errno == ENOENT) return absl::OkStatus();
  return SystemError(path, "cannot tell whether its socket is in use");
}

absl::Status RemoveDeadSocket(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return SystemError(path, "cannot look at it");
  }
  if (!S_ISSOCK(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot listen on unix:", path,
                     ": there is a file of another kind; remove it, or choose "
                     "another address with --listen"));
  }
  SIMVISOR_RETURN_IF_ERROR(CheckDead(path));
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return SystemError(path, "cannot remove the socket of a dead daemon");
  }
  return absl::OkStatus();
}

absl::Status BindAndListen(int fd, const std::string& path, int backlog) {
  // The file takes its mode from the socket, so it is private from the start,
  // whatever the umask.
  if (fchmod(fd, S_IRUSR | S_IWUSR) != 0) {
    return SystemError(path, "cannot make its socket private");
  }
  const sockaddr_un name = NameOf(path);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
    return SystemError(path, "cannot make its socket");
  }
  if (listen(fd, backlog) != 0) {
    const absl::Status status = SystemError(path, "cannot listen");
    unlink(path.c_str());
    return status;
  }
  return absl::OkStatus();
}

}  // namespace

SocketFile::SocketFile(std::string path, dev_t device, ino_t inode)
    : path_(std::move(path)), device_(device), inode_(inode) {}

SocketFile::SocketFile(SocketFile&& other) noexcept
    : path_(std::exchange(other.path_, std::string())),
      device_(other.device_),
      inode_(other.inode_) {}

absl::StatusOr<SocketFile> SocketFile::Listen(int fd, const std::string& path,
                                              int backlog) {
  const absl::StatusOr<FolderLock> lock =
      FolderLock::Take(FolderOf(path), kPatience);
  if (!lock.ok()) return CannotListen(path, lock.status());
  SIMVISOR_RETURN_IF_ERROR(RemoveDeadSocket(path));
  SIMVISOR_RETURN_IF_ERROR(BindAndListen(fd, path, backlog));
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) {
    return SystemError(path, "cannot look at its socket");
  }
  return SocketFile(path, info.st_dev, info.st_ino);
}

SocketFile::~SocketFile() {
  if (path_.empty()) return;
  // Without the lock, another daemon could put its socket here between the
  // check and the removal.  A dead file that stays is replaced by the next
  // daemon.
  const absl::StatusOr<FolderLock> lock =
      FolderLock::Take(FolderOf(path_), kPatience);
  struct stat info;
  if (lock.ok() && lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ &&
      info.st_ino == inode_) {
    unlink(path_.c_str());
  }
}

bool SocketFile::IsAt(const std::string& path) const {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && info.st_dev == device_ &&
         info.st_ino == inode_;
}

}  // namespace simvisor::server
