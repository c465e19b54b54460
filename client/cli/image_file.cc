#include "client/cli/image_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace simvisor::client {
namespace {

constexpr char kStandardOutput[] = "-";

std::string PartOf(const std::string& path) { return path + ".part"; }

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

absl::StatusOr<ImageFile> ImageFile::Create(const std::string& path) {
  struct stat about;
  const bool special =
      stat(path.c_str(), &about) == 0 && !S_ISREG(about.st_mode);
  ImageFile file(path, path == kStandardOutput || special);
  if (path == kStandardOutput) {
    file.fd_ = dup(STDOUT_FILENO);
  } else if (special) {
    file.fd_ = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    // A guest's memory is its owner's alone.
    file.fd_ =
        open(PartOf(path).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
             S_IRUSR | S_IWUSR);
  }
  if (file.fd_ < 0) return file.Error();
  return file;
}

ImageFile::ImageFile(std::string path, bool in_place)
    : path_(std::move(path)), in_place_(in_place) {}

ImageFile::ImageFile(ImageFile&& other) noexcept
    : path_(std::move(other.path_)),
      in_place_(other.in_place_),
      fd_(std::exchange(other.fd_, -1)) {}

ImageFile::~ImageFile() {
  if (fd_ < 0) return;
  close(fd_);
  if (!in_place_) unlink(PartOf(path_).c_str());
}

absl::Status ImageFile::Error() const {
  return absl::Status(
      absl::ErrnoToStatusCode(errno),
      absl::StrCat("cannot write ", path_, ": ", std::strerror(errno)));
}

absl::Status ImageFile::Append(absl::string_view data) {
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

absl::Status ImageFile::Commit() {
  if (in_place_) {
    return close(std::exchange(fd_, -1)) == 0 ? absl::OkStatus() : Error();
  }
  if (fsync(fd_) != 0) return Error();
  if (std::rename(PartOf(path_).c_str(), path_.c_str()) != 0) return Error();
  // The name must be on the disk too; a folder that cannot be opened for that
  // has the file all the same.
  const int folder =
      open(FolderOf(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    fsync(folder);
    close(folder);
  }
  close(std::exchange(fd_, -1));
  return absl::OkStatus();
}

}  // namespace simvisor::client
