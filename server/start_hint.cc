#include "server/start_hint.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace simvisor::server {
namespace {

constexpr char kExample[] = "examples/small.cfg";

bool IsPlain(char c) {
  return absl::ascii_isalnum(c) ||
         absl::string_view("/._-+:,@%").find(c) != absl::string_view::npos;
}

// `word` as a shell reads it back.
std::string ForShell(const std::string& word) {
  if (!word.empty() && std::all_of(word.begin(), word.end(), IsPlain)) {
    return word;
  }
  return absl::StrCat("'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
}

std::string Cli(const std::string& program) {
  const size_t slash = program.rfind('/');
  if (slash == std::string::npos) return "simvisor";
  const std::string path = program.substr(0, slash + 1) + "simvisor";
  return access(path.c_str(), X_OK) == 0 ? ForShell(path) : "simvisor";
}

}  // namespace

std::string StartHint(const std::string& program, const std::string& address) {
  std::string cli = Cli(program);
  if (!address.empty()) {
    absl::StrAppend(&cli, " --address ", ForShell(address));
  }
  return absl::StrCat(
      "The machine is on. In a second terminal:\n  ", cli, " list\n  ", cli,
      " create ", access(kExample, R_OK) == 0 ? kExample : "FILE.cfg", "\n  ",
      cli, " --help\n",
      "Ctrl-C ends it, and with it every domain that was not saved.\n");
}

std::string ListNames(const std::vector<std::string>& names, size_t most) {
  const size_t shown = std::min(names.size(), most);
  const std::string list =
      absl::StrJoin(absl::MakeConstSpan(names).first(shown), ", ");
  if (shown == names.size()) return list;
  return absl::StrCat(list, " and ", names.size() - shown, " more");
}

}  // namespace simvisor::server
