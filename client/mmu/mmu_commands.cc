#include "client/mmu/mmu_commands.h"

namespace simvisor::client {

void AddMmuCommands(Commands& commands) {
  Verb group = commands.AddGroup(
      "mmu", "Secondary MMUs: clients that map pages of a domain themselves");
  AddMmuAttachCommand(commands, group);
  AddMmuListCommands(commands, group);
  AddMmuCheckCommand(commands, group);
}

}  // namespace simvisor::client
