#include "client/ui/line_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/api/own_reason.h"
#include "client/ui/files.h"
#include "client/ui/image_file.h"

namespace simvisor::client {
absl::StatusOr<std::unique_ptr<LineReader>> LineReader::Open(
    const std::string& path) {
  SIMVISOR_RETURN_IF_ERROR(CheckName(path));
  const int file =
      path == "-" ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return FileError("read", path, errno);
  int wake[2];
  if (pipe2(wake, O_CLOEXEC) != 0) {
    const int error = errno;
    if (file != STDIN_FILENO) close(file);
    return FileError("read", path, error);
  }
  return std::unique_ptr<LineReader>(
      new LineReader(path, file, wake[0], wake[1]));
}

LineReader::~LineReader() {
  if (file_ != STDIN_FILENO) close(file_);
  close(wake_read_);
  close(wake_write_);
}

// The pipe is never read, so it stays ready.
void LineReader::Stop() {
  const char byte = 0;
  while (write(wake_write_, &byte, 1) < 0 && errno == EINTR) continue;
}

absl::StatusOr<bool> LineReader::Fill() {
  pollfd files[] = {{wake_read_, POLLIN, 0}, {file_, POLLIN, 0}};
  while (poll(files, 2, -1) < 0) {
    if (errno != EINTR) return FileError("read", path_, errno);
  }
  if (files[0].revents != 0) return false;
  char buffer[65536];
  ssize_t got;
  do {
    got = read(file_, buffer, sizeof buffer);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return FileError("read", path_, errno);
  if (first_) {
    SIMVISOR_RETURN_IF_ERROR(
        CheckText(path_, absl::string_view(buffer, static_cast<size_t>(got))));
    first_ = false;
  }
  rest_.erase(0, start_);
  start_ = 0;
  rest_.append(buffer, static_cast<size_t>(got));
  return got > 0;
}

absl::Status LineReader::Read(size_t max, std::vector<std::string>& lines) {
  lines.clear();
  while (true) {
    size_t end;
    while (lines.size() < max &&
           (end = rest_.find('\n', start_)) != std::string::npos) {
      lines.push_back(rest_.substr(start_, end - start_));
      start_ = end + 1;
    }
    if (!lines.empty() || ended_) return absl::OkStatus();
    if (rest_.size() - start_ > kMaxLineBytes) {
      return WithReason(absl::InvalidArgumentError(absl::StrCat(
                            path_, ": a line has more than ", kMaxLineBytes,
                            " bytes, the most it can have")),
                        OwnReason::kFileFailed);
    }
    SIMVISOR_ASSIGN_OR_RETURN(const bool more, Fill());
    if (more) continue;
    ended_ = true;
    if (start_ < rest_.size()) lines.push_back(rest_.substr(start_));
    return absl::OkStatus();
  }
}

}  // namespace simvisor::client
