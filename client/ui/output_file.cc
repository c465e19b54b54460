#include "client/ui/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/api/own_reason.h"
#include "client/ui/exit_code.h"
#include "client/ui/files.h"

namespace simvisor::client {
namespace {

// As many symbolic links as the system follows.
constexpr int kMaxLinks = 40;

// Names of standard output, which is written at its current position.
bool IsStandardOutput(const std::string& path) {
  return path == "-" || path == "/dev/stdout" || path == "/dev/fd/1" ||
         path == "/proc/self/fd/1";
}

// What `path` is called in messages.
std::string Named(const std::string& path) {
  return path == "-" ? "standard output" : path;
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string NameOf(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

// The target of a path, following symbolic links; it need not exist.  Empty,
// with errno set, for a circle of links.
std::string FollowLinks(std::string path) {
  for (int links = 0; links <= kMaxLinks; ++links) {
    std::array<char, PATH_MAX> target;
    const ssize_t size = readlink(path.c_str(), target.data(), target.size());
    if (size < 0) return path;
    const std::string to(target.data(), static_cast<size_t>(size));
    path =
        to.empty() || to[0] == '/' ? to : absl::StrCat(FolderOf(path), "/", to);
  }
  errno = ELOOP;
  return "";
}

}  // namespace

absl::StatusOr<OutputFile> OutputFile::Create(const std::string& path,
                                              PartFile::Kind kind) {
  SIMVISOR_RETURN_IF_ERROR(CheckName(path));
  OutputFile file(path);
  struct stat about;
  const bool exists = stat(path.c_str(), &about) == 0;
  if (!IsStandardOutput(path) && !exists && errno != ENOENT) {
    return file.Error();
  }
  const bool in_place =
      IsStandardOutput(path) || (exists && !S_ISREG(about.st_mode));
  SIMVISOR_RETURN_IF_ERROR(in_place ? file.OpenInPlace()
                                    : file.OpenPart(exists, kind));
  return file;
}

absl::Status OutputFile::OpenInPlace() {
  fd_ = IsStandardOutput(path_)
            ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
            : open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
  if (fd_ < 0) return Error();
  if (isatty(fd_) == 1) {
    return UsageError(absl::StrCat(
        "cannot write ", path_,
        ": it is a terminal, which would show the bytes but not keep them; "
        "name a file, or send the output to a file or a pipe"));
  }
  return absl::OkStatus();
}

absl::Status OutputFile::OpenPart(bool exists, PartFile::Kind kind) {
  const std::string path = FollowLinks(path_);
  if (path.empty()) return Error();
  // /dev/fd/N may lead to a file that has lost its name.
  if (exists && access(path.c_str(), F_OK) != 0) return Error();
  const std::string name = NameOf(path);
  if (name.empty() || name == "." || name == "..") {
    errno = EISDIR;
    return Error();
  }
  auto part = PartFile::Create(FolderOf(path), name, kind);
  if (!part.ok()) return Explain(part.status());
  part_ = *std::move(part);
  fd_ = part_->fd();
  return absl::OkStatus();
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      part_(std::move(other.part_)),
      fd_(std::exchange(other.fd_, -1)) {}

OutputFile::~OutputFile() {
  if (fd_ >= 0 && part_ == nullptr) close(fd_);
}

absl::Status OutputFile::Explain(const absl::Status& status) const {
  return WithReason(
      absl::Status(status.code(), absl::StrCat("cannot write ", Named(path_),
                                               ": ", status.message())),
      OwnReason::kFileFailed);
}

absl::Status OutputFile::Error() const {
  return FileError("write", Named(path_), errno);
}

absl::Status OutputFile::Append(absl::string_view data) {
  while (!data.empty()) {
    const ssize_t written = write(fd_, data.data(), data.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return Error();
    }
    data.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status OutputFile::Append(absl::string_view data,
                                const Interruption& interruption) {
  // More might have to wait.
  const size_t most = in_place() ? PIPE_BUF : data.size();
  while (!data.empty()) {
    if (!interruption.AwaitWritable(fd_)) {
      return InterruptedError();
    }
    SIMVISOR_RETURN_IF_ERROR(Append(data.substr(0, most)));
    data.remove_prefix(std::min(most, data.size()));
  }
  return absl::OkStatus();
}

absl::Status OutputFile::Finish(absl::string_view data) {
  const absl::Status written = Append(data);
  return written.ok() ? Commit() : written;
}

absl::Status OutputFile::Commit() {
  if (part_ != nullptr) {
    const absl::Status published = part_->Publish();
    return published.ok() ? published : Explain(published);
  }
  // Pipes and most devices have no disk to write to.
  if (fsync(fd_) != 0 && errno != EINVAL && errno != EROFS &&
      errno != EOPNOTSUPP) {
    return Error();
  }
  return close(std::exchange(fd_, -1)) == 0 ? absl::OkStatus() : Error();
}

}  // namespace simvisor::client
