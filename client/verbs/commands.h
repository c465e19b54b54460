// The commands of the program and how they are declared.
//
// A command is a CLI11 subcommand with a function; parsing a command line
// chooses one, and the program runs it afterwards.  Each Add*() declares the
// verbs of one group.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_VERBS_COMMANDS_H_
#define SIMVISOR_CLIENT_VERBS_COMMANDS_H_

#include <functional>
#include <string>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "client/session/session.h"

namespace simvisor::client {

using Action = std::function<absl::Status(Session&)>;

// Help text of arguments that many commands have.
inline constexpr char kDomainHelp[] = "Domain: domid, name or UUID";
inline constexpr char kPfnHelp[] = "Page number, decimal or 0x...";
inline constexpr char kOffsetHelp[] = "Offset of the first byte in its page";
inline constexpr char kXlSizeHelp[] = "Size with t, g, m, k or b; MiB without";

class Commands {
 public:
  // Declares commands in `app`, which must outlive this object.
  explicit Commands(CLI::App& app) : app_(app) {}

  // A group of commands, such as p2m.
  CLI::App& AddGroup(const std::string& name, const std::string& help);

  // A command of `parent` that does `action`; arguments are added to the
  // result.
  CLI::App& Add(CLI::App& parent, const std::string& name,
                const std::string& help, Action action);
  CLI::App& Add(const std::string& name, const std::string& help,
                Action action) {
    return Add(app_, name, help, std::move(action));
  }

  // What the parsed command line asks for.
  const Action& chosen() const { return chosen_; }

 private:
  CLI::App& app_;
  Action chosen_;
};

void AddBatchCommand(Commands& commands);
void AddCreateCommand(Commands& commands);
void AddLifecycleCommands(Commands& commands);
void AddListCommands(Commands& commands);
void AddMemoryCommands(Commands& commands);
void AddP2mCommands(Commands& commands);
void AddIdentityCommands(Commands& commands);
void AddFrameCommands(Commands& commands);
void AddGuestCommands(Commands& commands);
void AddAddressSpaceCommands(Commands& commands);
void AddE820Commands(Commands& commands);
void AddFaultCommands(Commands& commands);
void AddImageCommands(Commands& commands);
void AddMigrateCommands(Commands& commands);
void AddScriptCommands(Commands& commands);
void AddVcpuCommands(Commands& commands);

// Declared by AddMemoryCommands() in the group balloon.
void AddBalloonStateCommand(Commands& commands, CLI::App& balloon);

// Declared by AddGuestCommands() in its group.
void AddGuestLoadCommand(Commands& commands, CLI::App& guest);

// Declared by AddP2mCommands() in its group.
void AddP2mForeignCommands(Commands& commands, CLI::App& p2m);
void AddP2mSetCommand(Commands& commands, CLI::App& p2m);
void AddP2mMapCommand(Commands& commands, CLI::App& p2m);
void AddWalkCommand(Commands& commands, CLI::App& p2m);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_VERBS_COMMANDS_H_
