// Files that users name on the command line.
//
// Thread safety: functions without state.

#ifndef SIMVISOR_CLIENT_UI_FILES_H_
#define SIMVISOR_CLIENT_UI_FILES_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace simvisor::client {

// "cannot VERB PATH: " and the text of `error`, an errno.
absl::Status FileError(absl::string_view verb, absl::string_view path,
                       int error);

// A UsageError() if `path` is empty: no file has that name.
absl::Status CheckName(absl::string_view path);

// The contents of `path`, or of standard input for "-".  The system's error
// after "cannot read PATH: "; INVALID_ARGUMENT if there are more than
// `max_bytes`.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes);
// The same, with the contents in `data`, which has their beginning even if
// there are too many.
absl::Status ReadFileInto(const std::string& path, size_t max_bytes,
                          std::string& data);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_FILES_H_
