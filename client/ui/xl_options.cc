#include "client/ui/xl_options.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "client/ui/verb_prefix.h"

namespace simvisor::client {
namespace {

bool AreXlOptions(absl::string_view word) {
  return word.size() > 1 && word.front() == '-' &&
         word.find_first_not_of("vftTN", 1) == absl::string_view::npos;
}

}  // namespace

std::vector<std::string> ReplaceXlOptions(const Verb& program,
                                          std::vector<std::string> arguments) {
  const size_t verb = FindFirstVerb(program, arguments);
  std::vector<std::string> left;
  bool dry_run = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const bool is_value =
        i > 0 && i < verb && program.TakesNextWord(arguments[i - 1]);
    if (i < verb && !is_value && AreXlOptions(arguments[i])) {
      dry_run = dry_run || absl::StrContains(arguments[i], "N");
    } else {
      left.push_back(std::move(arguments[i]));
    }
  }
  // After -- there are no options.
  if (dry_run) {
    left.insert(std::find(left.begin(), left.end(), "--"), "--dryrun");
  }
  return left;
}

}  // namespace simvisor::client
