#include "client/cli/files.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"

namespace simvisor::client {
namespace {

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

// For standard streams, which stay open.
int KeepOpen(FILE* file) { return std::fflush(file); }

File Open(const std::string& path, const char* mode, FILE* standard) {
  if (path == "-") return File(standard, &KeepOpen);
  return File(std::fopen(path.c_str(), mode), &fclose);
}

absl::Status SystemError(absl::string_view what, const std::string& path,
                         int error) {
  return absl::Status(
      absl::ErrnoToStatusCode(error),
      absl::StrCat("cannot ", what, " ", path, ": ", std::strerror(error)));
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     size_t max_bytes) {
  errno = 0;
  const File file = Open(path, "rb", stdin);
  if (file == nullptr) return SystemError("read", path, errno);
  std::string data;
  char buffer[65536];
  while (const size_t got = std::fread(buffer, 1, sizeof buffer, file.get())) {
    data.append(buffer, got);
    if (data.size() > max_bytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": more than ", max_bytes, " bytes, the most it can be"));
    }
  }
  if (std::ferror(file.get())) return SystemError("read", path, errno);
  return data;
}

absl::Status WriteFile(const std::string& path, absl::string_view data) {
  File file = Open(path, "wb", stdout);
  if (file == nullptr) return SystemError("write", path, errno);
  const bool written =
      std::fwrite(data.data(), 1, data.size(), file.get()) == data.size();
  // A full disk may show only when the last buffer is written.
  const auto close = file.get_deleter();
  if (close(file.release()) != 0 || !written) {
    return SystemError("write", path, errno);
  }
  return absl::OkStatus();
}

}  // namespace simvisor::client
