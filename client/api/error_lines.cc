#include "client/api/error_lines.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace simvisor::client {

std::vector<std::string> FirstLines(std::vector<std::string> lines) {
  if (lines.size() <= kMaxErrorLines) return lines;
  const size_t more = lines.size() - kMaxErrorLines;
  lines.resize(kMaxErrorLines);
  lines.push_back(absl::StrCat("... and ", more, " more"));
  return lines;
}

std::string JoinFirstLines(std::vector<std::string> lines) {
  return absl::StrJoin(FirstLines(std::move(lines)), "\n");
}

}  // namespace simvisor::client
