#include "client/ui/part_file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace simvisor::client {
namespace {

constexpr mode_t kOwnerOnly = S_IRUSR | S_IWUSR;

absl::Status ErrorOf(int error) {
  return absl::Status(absl::ErrnoToStatusCode(error), std::strerror(error));
}

// 128 random bits in hex; an errno if the system has none.
int RandomName(std::string& name) {
  std::array<char, 16> bytes;
  if (getrandom(bytes.data(), bytes.size(), 0) !=
      static_cast<ssize_t>(bytes.size())) {
    return errno;
  }
  name = absl::StrCat(".simvisor-", absl::BytesToHexString(absl::string_view(
                                        bytes.data(), bytes.size())));
  return 0;
}

// The path of an open file, even without a name.
std::string OpenFilePath(int fd) { return absl::StrCat("/proc/self/fd/", fd); }

// Whether `error` says that a call, or a flag of it, is not supported here.
bool IsUnsupported(int error) {
  return error == EINVAL || error == ENOSYS || error == EOPNOTSUPP;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PartFile>> PartFile::Create(
    const std::string& folder, const std::string& name, Kind kind) {
  int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // Files can be created in a folder that is writable but not readable.
  if (fd < 0 && errno == EACCES) {
    fd = open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  }
  if (fd < 0) return ErrorOf(errno);
  std::unique_ptr<PartFile> file(new PartFile(fd, name));
  SIMVISOR_RETURN_IF_ERROR(file->Open(folder, kind));
  return file;
}

absl::Status PartFile::Open(const std::string& folder, Kind kind) {
  old_ = Look(name_);
  if (!old_.has_value() && errno != ENOENT) return ErrorOf(errno);
  if (old_.has_value()) {
    if (!S_ISREG(old_->st_mode)) return ErrorOf(EEXIST);
    if (faccessat(folder_, name_.c_str(), W_OK, AT_EACCESS) != 0) {
      return ErrorOf(errno);
    }
  }
  if (kind == Kind::kNameless) {
    fd_ = openat(folder_, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, kOwnerOnly);
    // Naming it later needs /proc, which may be missing.
    if (fd_ >= 0 && access(OpenFilePath(fd_).c_str(), F_OK) != 0) {
      close(std::exchange(fd_, -1));
    }
  }
  if (fd_ < 0) {
    std::string name;
    if (const int error = RandomName(name); error != 0) return ErrorOf(error);
    guard_->Remove(folder_, name);
    fd_ = openat(folder_, name.c_str(),
                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                 kOwnerOnly);
    if (fd_ < 0) {
      const int error = errno;
      return absl::Status(absl::ErrnoToStatusCode(error),
                          absl::StrCat("no file can be made in ", folder, ": ",
                                       std::strerror(error)));
    }
    temporary_ = name;
  }
  return absl::OkStatus();
}

PartFile::~PartFile() {
  if (guard_.has_value()) guard_->HoldOff();
  RemoveTemporary();
  if (fd_ >= 0) close(fd_);
  close(folder_);
}

std::optional<struct stat> PartFile::Look(const std::string& name) const {
  struct stat found;
  if (fstatat(folder_, name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
    return std::nullopt;
  }
  return found;
}

bool PartFile::IsOld(const struct stat& found) const {
  return old_.has_value() && found.st_dev == old_->st_dev &&
         found.st_ino == old_->st_ino && found.st_size == old_->st_size &&
         found.st_mtim.tv_sec == old_->st_mtim.tv_sec &&
         found.st_mtim.tv_nsec == old_->st_mtim.tv_nsec;
}

bool PartFile::IsMine(const struct stat& found) const {
  struct stat mine;
  return fstat(fd_, &mine) == 0 && found.st_dev == mine.st_dev &&
         found.st_ino == mine.st_ino;
}

absl::Status PartFile::Publish() {
  const absl::Status status = PublishSteps();
  RemoveTemporary();
  guard_.reset();
  return status;
}

absl::Status PartFile::PublishSteps() {
  if (fsync(fd_) != 0) return ErrorOf(errno);
  guard_->HoldOff();
  SIMVISOR_RETURN_IF_ERROR(MoveToName());
  // Some file systems do not support fsync of folders and do not need it.
  if (fsync(folder_) != 0 && errno != EBADF && !IsUnsupported(errno)) {
    return ErrorOf(errno);
  }
  return absl::OkStatus();
}

absl::Status PartFile::MoveToName() {
  const bool is_new = !Look(name_).has_value() && errno == ENOENT;
  const int error = is_new ? PutNew() : Replace();
  if (error == 0) return absl::OkStatus();
  if (error != EEXIST) return ErrorOf(error);
  return absl::AbortedError(
      "another program has written it in the meantime, and that file stays; "
      "choose another name");
}

int PartFile::PutNew() {
  if (temporary_.empty()) {
    const int linked = linkat(AT_FDCWD, OpenFilePath(fd_).c_str(), folder_,
                              name_.c_str(), AT_SYMLINK_FOLLOW);
    return linked == 0 ? 0 : errno;
  }
  if (renameat2(folder_, temporary_.c_str(), folder_, name_.c_str(),
                RENAME_NOREPLACE) == 0) {
    temporary_.clear();
    return 0;
  }
  if (!IsUnsupported(errno)) return errno;
  const int linked =
      linkat(folder_, temporary_.c_str(), folder_, name_.c_str(), 0);
  return linked == 0 ? 0 : errno;
}

int PartFile::Replace() {
  const auto exchange = [this] {
    return renameat2(folder_, temporary_.c_str(), folder_, name_.c_str(),
                     RENAME_EXCHANGE) == 0;
  };
  const auto there = Look(name_);
  if (!there.has_value()) return errno;
  if (!IsOld(*there)) return EEXIST;
  if (const int error = TakeTemporaryName(); error != 0) return error;
  if (!exchange()) {
    if (!IsUnsupported(errno)) return errno;
    if (renameat(folder_, temporary_.c_str(), folder_, name_.c_str()) != 0) {
      return errno;
    }
    temporary_.clear();
    return 0;
  }
  const auto taken = Look(temporary_);
  if (taken.has_value() && IsOld(*taken)) {
    unlinkat(folder_, std::exchange(temporary_, "").c_str(), 0);
    return 0;
  }
  return exchange() ? EEXIST : errno;
}

int PartFile::TakeTemporaryName() {
  if (!temporary_.empty()) return 0;
  std::string name;
  if (const int error = RandomName(name); error != 0) return error;
  if (linkat(AT_FDCWD, OpenFilePath(fd_).c_str(), folder_, name.c_str(),
             AT_SYMLINK_FOLLOW) != 0) {
    return errno;
  }
  temporary_ = name;
  return 0;
}

void PartFile::RemoveTemporary() {
  if (temporary_.empty()) return;
  const auto found = Look(temporary_);
  if (found.has_value() && IsMine(*found)) {
    unlinkat(folder_, temporary_.c_str(), 0);
  }
  temporary_.clear();
}

}  // namespace simvisor::client
