// The commands of the program and how they are declared.
//
// A command is a verb with a function; parsing a command line chooses one, and
// the program runs it afterwards.  Each Add*() declares the verbs of one group.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_VERBS_COMMANDS_H_
#define SIMVISOR_CLIENT_VERBS_COMMANDS_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/session/session.h"
#include "client/ui/command_line.h"

namespace simvisor::client {

using Action = std::function<absl::Status(Session&)>;

// Names and help text of arguments that several commands share.
inline constexpr char kDomainName[] = "DOM";
inline constexpr char kDomainHelp[] = "Domain: domid, name or UUID";
inline constexpr char kNoEffectHelp[] = "As in xl; no effect here";
inline constexpr char kPfnHelp[] = "Page number, decimal or 0x...";
inline constexpr char kOffsetHelp[] = "Offset of the first byte in its page";
inline constexpr char kXlSizeHelp[] = "Size in MiB, or with t, g, m, k or b";

class Commands {
 public:
  // Declares commands in `program`, whose CommandLine must outlive this object.
  explicit Commands(Verb program) : program_(program) {}

  // The program's, to which groups and commands are added.
  Verb program() const { return program_; }

  // A group of commands, such as p2m, or of `parent`, such as p2m foreign.
  Verb AddGroup(const std::string& name, const std::string& help) {
    return AddGroup(program_, name, help);
  }
  Verb AddGroup(Verb parent, const std::string& name, const std::string& help);

  // A command of `parent` that does `action`; arguments are added to the
  // result.
  Verb Add(Verb parent, const std::string& name, const std::string& help,
           Action action);
  Verb Add(const std::string& name, const std::string& help, Action action) {
    return Add(program_, name, help, std::move(action));
  }

  // The action of the parsed command line.
  const Action& chosen() const { return chosen_; }

 private:
  Verb program_;
  Action chosen_;
};

// `error`, a UsageError() about the line that was parsed last, after `command`
// and the domain that the line names, unless that is what is wrong:
// "balloon up: web: '1x': must be a number of pages, ...".
absl::Status LocateUsageError(const CommandLine& line,
                              absl::string_view command,
                              const absl::Status& error);

// Does `action` for each of `items`, also after one of them has failed, but not
// once the daemon cannot be reached or a signal has cancelled a call.  The
// action's status for a single item. For several, prints each error and returns
// how many are done, as in "2 of 3 DONE", unless all are.
absl::Status ForEach(
    Session& session, absl::Span<const std::string> items,
    absl::string_view done,
    absl::FunctionRef<absl::Status(const std::string&)> action);

// "simvisor" and the version.
std::string VersionText();

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
void AddHelpCommands(Commands& commands);
void AddMigrateCommands(Commands& commands);
void AddRestoreCommand(Commands& commands);
void AddSaveCommand(Commands& commands);
void AddScriptCommands(Commands& commands);
void AddVcpuCommands(Commands& commands);

// Declared by AddMemoryCommands() in the group balloon.
void AddBalloonStateCommand(Commands& commands, Verb balloon);

// Declared by AddGuestCommands() in its group.
void AddGuestLoadCommand(Commands& commands, Verb guest);

// Declared by AddP2mCommands() in its group.
void AddP2mForeignCommands(Commands& commands, Verb p2m);
void AddP2mSetCommand(Commands& commands, Verb p2m);
void AddP2mMapCommand(Commands& commands, Verb p2m);
void AddWalkCommand(Commands& commands, Verb p2m);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_VERBS_COMMANDS_H_
