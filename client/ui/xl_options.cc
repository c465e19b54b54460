#include "client/ui/xl_options.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "client/ui/exit_code.h"
#include "client/ui/verb_prefix.h"

namespace simvisor::client {
namespace {

bool AreXlOptions(absl::string_view word) {
  return word.size() > 1 && word.front() == '-' &&
         word.find_first_not_of("vftTN", 1) == absl::string_view::npos;
}

// The last verb of `words`; `program` without one.
Verb ChosenVerb(const Verb& program, const std::vector<std::string>& words) {
  Verb chosen = program;
  for (size_t i = FindFirstVerb(program, words); i < words.size(); ++i) {
    for (const Verb& verb : chosen.verbs()) {
      if (verb.name() != words[i]) continue;
      chosen = verb;
      break;
    }
  }
  return chosen;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ReplaceXlOptions(
    const Verb& program, const std::vector<std::string>& arguments) {
  const size_t verb = FindFirstVerb(program, arguments);
  std::vector<std::string> left;
  bool dry_run = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const bool is_value =
        i > 0 && i < verb && program.TakesNextWord(arguments[i - 1]);
    if (i < verb && !is_value && AreXlOptions(arguments[i])) {
      dry_run = dry_run || absl::StrContains(arguments[i], "N");
    } else {
      left.push_back(arguments[i]);
    }
  }
  SIMVISOR_ASSIGN_OR_RETURN(left, ExpandVerbs(program, std::move(left)));
  if (!dry_run || FindFirstVerb(program, left) == left.size()) return left;
  const Verb chosen = ChosenVerb(program, left);
  if (!chosen.HasOption("--dryrun")) {
    return UsageError(absl::StrCat(
        chosen.name(), " has no dry run; -N goes with create and vcpu-pin"));
  }
  // After -- only names follow.
  left.insert(std::find(left.begin(), left.end(), "--"), "--dryrun");
  return left;
}

}  // namespace simvisor::client
