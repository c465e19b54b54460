#include "client/ui/files.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/api/own_reason.h"
#include "client/ui/exit_code.h"
#include "client/ui/input_file.h"

namespace simvisor::client {
namespace {

constexpr size_t kPieceBytes = 65536;

}  // namespace

absl::Status FileError(absl::string_view verb, absl::string_view path,
                       int error) {
  return WithReason(absl::Status(absl::ErrnoToStatusCode(error),
                                 absl::StrCat("cannot ", verb, " ", path, ": ",
                                              std::strerror(error))),
                    OwnReason::kFileFailed);
}

absl::Status CheckName(absl::string_view path) {
  if (!path.empty()) return absl::OkStatus();
  return UsageError("the name of the file is empty; give one");
}

absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     size_t max_bytes) {
  std::string data;
  SIMVISOR_RETURN_IF_ERROR(ReadFileInto(path, max_bytes, data));
  return data;
}

absl::Status ReadFileInto(const std::string& path, size_t max_bytes,
                          std::string& data) {
  SIMVISOR_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  size_t before;
  do {
    before = data.size();
    SIMVISOR_RETURN_IF_ERROR(file.Read(kPieceBytes, data));
    if (data.size() > max_bytes) {
      return WithReason(
          absl::InvalidArgumentError(absl::StrCat(
              path, ": more than ", max_bytes, " bytes, the most it can be")),
          OwnReason::kFileFailed);
    }
  } while (data.size() > before);
  return absl::OkStatus();
}

}  // namespace simvisor::client
