#include "client/verbs/commands.h"

#include <utility>

namespace simvisor::client {

CLI::App& Commands::AddGroup(const std::string& name, const std::string& help) {
  CLI::App* group = app_.add_subcommand(name, help);
  group->require_subcommand(1);
  group->fallthrough();
  return *group;
}

CLI::App& Commands::Add(CLI::App& parent, const std::string& name,
                        const std::string& help, Action action) {
  CLI::App* command = parent.add_subcommand(name, help);
  // Global options may follow the verb.
  command->fallthrough();
  command->callback([this, action = std::move(action)] { chosen_ = action; });
  return *command;
}

}  // namespace simvisor::client
