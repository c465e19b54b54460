#include "server/listen/default_address.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace simvisor::server {
namespace {

constexpr char kSocketName[] = "simvisor.sock";

std::string OwnFolder(uid_t uid) { return absl::StrCat("/tmp/simvisor-", uid); }

std::optional<std::string> RuntimeDir() {
  const char* const dir = std::getenv("XDG_RUNTIME_DIR");
  if (dir == nullptr || *dir == '\0') return std::nullopt;
  return dir;
}

}  // namespace

std::string DefaultSocketPath(const std::optional<std::string>& runtime_dir,
                              uid_t uid) {
  if (runtime_dir.has_value()) {
    return absl::StrCat(*runtime_dir, "/", kSocketName);
  }
  if (uid == 0) return absl::StrCat("/run/", kSocketName);
  return absl::StrCat(OwnFolder(uid), "/", kSocketName);
}

absl::Status EnsurePrivateFolder(const std::string& path, uid_t uid) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", path));
  }
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot look at ", path));
  }
  if (!S_ISDIR(info.st_mode) || info.st_uid != uid ||
      (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, " must be a folder that only user ", uid,
        " can access; remove it, or choose an address with --listen"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ListenAddress> DefaultListenAddress() {
  const uid_t uid = geteuid();
  const std::optional<std::string> runtime_dir = RuntimeDir();
  if (!runtime_dir.has_value() && uid != 0) {
    SIMVISOR_RETURN_IF_ERROR(EnsurePrivateFolder(OwnFolder(uid), uid));
  }
  return ListenAddress::Parse(
      absl::StrCat("unix:", DefaultSocketPath(runtime_dir, uid)));
}

}  // namespace simvisor::server
