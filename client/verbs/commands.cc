#include "client/verbs/commands.h"

#include <utility>

namespace simvisor::client {

Verb Commands::AddGroup(Verb parent, const std::string& name,
                        const std::string& help) {
  Verb group = parent.AddGroup(name, help);
  group.InheritOptions();
  return group;
}

Verb Commands::Add(Verb parent, const std::string& name,
                   const std::string& help, Action action) {
  Verb command = parent.AddVerb(name, help);
  // Global options may follow the verb.
  command.InheritOptions();
  command.OnChosen([this, action = std::move(action)] { chosen_ = action; });
  return command;
}

}  // namespace simvisor::client
