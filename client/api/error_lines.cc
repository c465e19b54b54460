#include "client/api/error_lines.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace simvisor::client {
namespace {

// Whether `line` has ":NUMBER:", as in "web.cfg:3: ..." and "s:3:7: ...".
bool NamesPlace(absl::string_view line) {
  for (size_t colon = line.find(':'); colon != absl::string_view::npos;
       colon = line.find(':', colon + 1)) {
    size_t at = colon + 1;
    while (at < line.size() && absl::ascii_isdigit(line[at])) ++at;
    if (at > colon + 1 && at < line.size() && line[at] == ':') return true;
  }
  return false;
}

std::string MoreLine(size_t more) {
  return absl::StrCat("... and ", more, " more");
}

}  // namespace

std::vector<std::string> FirstLines(std::vector<std::string> lines) {
  if (lines.size() <= kMaxErrorLines) return lines;
  const size_t more = lines.size() - kMaxErrorLines;
  lines.resize(kMaxErrorLines);
  lines.push_back(MoreLine(more));
  return lines;
}

std::string CutErrors(absl::string_view message, size_t most) {
  std::vector<std::string> kept;
  size_t errors = 0;
  size_t end = 0;  // of the errors in `kept`
  for (const absl::string_view line : absl::StrSplit(message, '\n')) {
    const bool is_error = NamesPlace(line);
    if (is_error && ++errors > most) continue;
    kept.emplace_back(line);
    if (is_error) end = kept.size();
  }
  if (errors <= most) return std::string(message);
  kept.insert(kept.begin() + static_cast<ptrdiff_t>(end),
              MoreLine(errors - most));
  return absl::StrJoin(kept, "\n");
}

}  // namespace simvisor::client
