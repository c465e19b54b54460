#include "pages/completion.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace simvisor::pages {
namespace {

// A name may have blanks, so it ends where the other columns begin.
constexpr char kListed[] =
    R"sh(sed -nE '2,$s/ +[0-9]+ +[0-9]+ +[0-9]+ +[^ ]+ +[0-9.]+$//p')sh";

}  // namespace

std::string FillIn(absl::string_view script, absl::string_view shell,
                   const client::Verb& program) {
  const std::string name = program.name();
  const std::string heading =
      absl::StrCat("# Completes the command lines of ", name, " in ", shell,
                   ".\n# Made from the program's own verbs and options, as ",
                   name, " --help shows them.");
  return absl::StrReplaceAll(
      script, {{"HEADING", heading}, {"LISTED", kListed}, {"NAME", name}});
}

}  // namespace simvisor::pages
