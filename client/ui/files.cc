#include "client/ui/files.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/api/own_reason.h"
#include "client/ui/input_file.h"

namespace simvisor::client {
namespace {

constexpr size_t kPieceBytes = 65536;

// How the layers of Xen's save images begin.
constexpr absl::string_view kImages[] = {
    "Xen saved domain, xl format\n", "LibxlFmt",
    "\xff\xff\xff\xff\xff\xff\xff\xffXENF"};

bool IsImage(absl::string_view begin) {
  return std::any_of(
      std::begin(kImages), std::end(kImages),
      [&](absl::string_view image) { return absl::StartsWith(begin, image); });
}

absl::Status Unfit(absl::string_view path, absl::string_view why) {
  return WithReason(absl::InvalidArgumentError(absl::StrCat(path, ": ", why)),
                    OwnReason::kFileFailed);
}

enum class Kind { kAny, kText };

absl::StatusOr<std::string> Read(const std::string& path, size_t max_bytes,
                                 Kind kind) {
  SIMVISOR_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  std::string data;
  size_t before;
  do {
    before = data.size();
    SIMVISOR_RETURN_IF_ERROR(file.Read(kPieceBytes, data));
    if (before == 0 && kind == Kind::kText && IsImage(data)) {
      return Unfit(path, "is a save image; give it to restore");
    }
    if (data.size() > max_bytes) {
      return Unfit(path, absl::StrCat("more than ", max_bytes,
                                      " bytes, the most it can be"));
    }
  } while (data.size() > before);
  return data;
}

}  // namespace

absl::Status FileError(absl::string_view verb, absl::string_view path,
                       int error) {
  return WithReason(absl::Status(absl::ErrnoToStatusCode(error),
                                 absl::StrCat("cannot ", verb, " ", path, ": ",
                                              std::strerror(error))),
                    OwnReason::kFileFailed);
}

absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     size_t max_bytes) {
  return Read(path, max_bytes, Kind::kAny);
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path,
                                         size_t max_bytes) {
  return Read(path, max_bytes, Kind::kText);
}

}  // namespace simvisor::client
