// mmu attach, list, stat, mappings, young, fence, check: secondary MMUs.
//
// Thread safety: as Session.

#ifndef SIMVISOR_CLIENT_MMU_MMU_COMMANDS_H_
#define SIMVISOR_CLIENT_MMU_MMU_COMMANDS_H_

#include "client/ui/command_line.h"
#include "client/verbs/commands.h"

namespace simvisor::client {

void AddMmuCommands(Commands& commands);

// Declared by AddMmuCommands() in its group.
void AddMmuAttachCommand(Commands& commands, Verb mmu);
void AddMmuCheckCommand(Commands& commands, Verb mmu);
void AddMmuListCommands(Commands& commands, Verb mmu);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_MMU_MMU_COMMANDS_H_
