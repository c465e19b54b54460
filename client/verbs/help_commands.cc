// help, version.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/version.h"
#include "client/ui/json.h"
#include "client/verbs/commands.h"

namespace simvisor::client {

void AddHelpCommands(Commands& commands) {
  // Naming a verb after help is the same as --help after the verb; the words
  // are changed before they are parsed (client/ui/verb_prefix.h).
  auto verbs = std::make_shared<std::vector<std::string>>();
  const Verb program = commands.program();
  Verb help = commands.Add("help", "List the verbs, or explain one",
                           [program](Session& session) {
                             session.out() << program.Help();
                             return absl::OkStatus();
                           });
  help.AddPositional("VERB", *verbs, "Verb to explain, such as p2m dump");
  help.AddIgnored("--long", kNoEffectHelp);
  commands.Add("version", "Print the version", [](Session& session) {
    if (session.json()) {
      session.PrintJson(Json{{"version", std::string(kVersion)}});
    } else {
      session.out() << VersionText() << "\n";
    }
    return absl::OkStatus();
  });
}

std::string VersionText() { return absl::StrCat("simvisor ", kVersion); }

}  // namespace simvisor::client
