#include "server/socket_guard.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "domain/units/status_macros.h"

namespace simvisor::server {
namespace {

std::string LockPath(const std::string& path) { return path + ".lock"; }

absl::Status InUse(const std::string& path) {
  return absl::AlreadyExistsError(
      absl::StrCat("cannot listen on unix:", path,
                   ": another simvisord serves there; stop it, or choose "
                   "another address with --listen"));
}

absl::Status SystemError(const std::string& path, absl::string_view doing) {
  const int error = errno;
  return absl::ErrnoToStatus(
      error, absl::StrCat("cannot listen on unix:", path, ": ", doing));
}

// True iff `fd` is still what `path` names: the holder before us removes the
// lock file as it ends, and a lock of a removed file keeps nobody out.
bool IsStillAt(const UniqueFd& fd, const std::string& path) {
  struct stat by_fd;
  struct stat by_path;
  return fstat(fd.get(), &by_fd) == 0 && stat(path.c_str(), &by_path) == 0 &&
         by_fd.st_dev == by_path.st_dev && by_fd.st_ino == by_path.st_ino;
}

absl::StatusOr<UniqueFd> Lock(const std::string& path) {
  const std::string lock_path = LockPath(path);
  while (true) {
    UniqueFd lock(open(lock_path.c_str(),
                       O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock.valid()) {
      return SystemError(path, absl::StrCat("cannot open ", lock_path));
    }
    if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return InUse(path);
      return SystemError(path, absl::StrCat("cannot lock ", lock_path));
    }
    if (IsStillAt(lock, lock_path)) return lock;
  }
}

void RemoveSocket(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) {
    unlink(path.c_str());
  }
}

// OK if nobody answers at the socket `path`.
absl::Status CheckDead(const std::string& path) {
  UniqueFd probe(
      socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return SystemError(path, "cannot probe it");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int result = connect(
      probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  // EAGAIN: somebody listens and is busy.
  if (result == 0 || errno == EAGAIN) return InUse(path);
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

}  // namespace

SocketGuard::SocketGuard(std::string path, UniqueFd lock)
    : path_(std::move(path)), lock_(std::move(lock)) {}

absl::StatusOr<SocketGuard> SocketGuard::Acquire(const std::string& path) {
  SIMVISOR_ASSIGN_OR_RETURN(UniqueFd lock, Lock(path));
  // Before there is a guard: its end would remove what is at the path.
  if (absl::Status status = RemoveDeadSocket(path); !status.ok()) {
    unlink(LockPath(path).c_str());
    return status;
  }
  return SocketGuard(path, std::move(lock));
}

SocketGuard::~SocketGuard() {
  if (!lock_.valid()) return;
  // In this order: the lock goes last, so nobody else's socket can be hit.
  RemoveSocket(path_);
  unlink(LockPath(path_).c_str());
}

}  // namespace simvisor::server
