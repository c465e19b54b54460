#include "client/ui/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/status_macros.h"
#include "client/ui/files.h"

namespace simvisor::client {
namespace {

// Bytes left in the regular file `fd`, which may have been read in part.
uint64_t BytesLeft(int fd) {
  struct stat about;
  if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) return 0;
  const off_t at = lseek(fd, 0, SEEK_CUR);
  return static_cast<uint64_t>(std::max<off_t>(0, about.st_size - at));
}

}  // namespace

absl::StatusOr<InputFile> InputFile::Open(const std::string& path) {
  SIMVISOR_RETURN_IF_ERROR(CheckName(path));
  const int fd = path == "-"
                     ? STDIN_FILENO
                     : open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return FileError("read", path, errno);
  return InputFile(path, fd);
}

InputFile::InputFile(std::string path, int fd)
    : path_(std::move(path)), fd_(fd), size_(BytesLeft(fd)) {}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_) {}

InputFile::~InputFile() {
  if (fd_ >= 0 && fd_ != STDIN_FILENO) close(fd_);
}

bool InputFile::IsTerminal() const { return isatty(fd_) == 1; }

absl::Status InputFile::Read(size_t max, std::string& data) {
  const size_t before = data.size();
  data.resize(before + max);
  ssize_t got;
  do {
    got = read(fd_, data.data() + before, max);
  } while (got < 0 && errno == EINTR);
  const int error = errno;
  data.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  return got < 0 ? FileError("read", path_, error) : absl::OkStatus();
}

}  // namespace simvisor::client
