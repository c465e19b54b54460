#include "client/app.h"

#include <cstring>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/api/address.h"
#include "client/api/own_reason.h"
#include "client/mmu/mmu_commands.h"
#include "client/ui/command_line.h"
#include "client/ui/exit_code.h"
#include "client/ui/verb_prefix.h"
#include "client/ui/xl_options.h"
#include "client/verbs/commands.h"

namespace simvisor::client {
namespace {

constexpr char kFooter[] =
    "Verbs and long options may be abbreviated as long as they are\n"
    "unambiguous.  Of xl's own options before the verb, -N is a dry run, as\n"
    "--dryrun is after the verb; -v, -f, -t and -T have no effect here.\n"
    "\n"
    "Exit codes: 0 done; 1 the operation failed; 2 the command line is wrong;\n"
    "3 the daemon cannot be reached.  Errors go to standard error; the "
    "daemon's\n"
    "end with the code and the reason in parentheses (docs/errors.md).\n"
    "\n"
    "With -o json a command prints its response as JSON, with bytes in "
    "base64,\n"
    "and an error as {code, reason, message, metadata} on standard error; the\n"
    "program's own errors have reasons too (docs/cli-errors.md).";

void AddGlobalOptions(Verb program, GlobalOptions& options) {
  options.address = DefaultAddress();
  program.AddOption(
      "-H,--address", options.address,
      "Daemon, as unix:PATH or HOST:PORT [" + options.address + "]");
  program.AddOption("-o,--output", options.output, "Format: text or json")
      .OneOf({"text", "json"})
      .ShowDefault();
  program
      .AddOption("--timeout", options.timeout_seconds,
                 "Timeout of each call in seconds; none by default")
      .Between(0.001, 1e6);
}

void AddCommands(Commands& commands) {
  AddCreateCommand(commands);
  AddListCommands(commands);
  AddLifecycleCommands(commands);
  AddSaveCommand(commands);
  AddRestoreCommand(commands);
  AddMigrateCommands(commands);
  AddVcpuCommands(commands);
  AddMemoryCommands(commands);
  AddBatchCommand(commands);
  AddIdentityCommands(commands);
  AddP2mCommands(commands);
  AddFrameCommands(commands);
  AddGuestCommands(commands);
  AddAddressSpaceCommands(commands);
  AddScriptCommands(commands);
  AddMmuCommands(commands);
  AddFaultCommands(commands);
  AddE820Commands(commands);
  AddHelpCommands(commands);
}

// Whether `name` is --output, or an abbreviation that only it has.
bool IsOutput(const std::string& name) {
  return absl::StartsWith(name, "--ou") && absl::StartsWith("--output", name);
}

// Asked before the line is parsed, as its own errors may have to be JSON.
bool AsksForJson(const std::vector<std::string>& arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--") return false;  // only names follow
    if (word == "-ojson") return true;
    const std::string name = word.substr(0, word.find('='));
    if (name != "-o" && !IsOutput(name)) continue;
    const std::string value = name != word ? word.substr(name.size() + 1)
                              : i + 1 < arguments.size() ? arguments[i + 1]
                                                         : "";
    if (value == "json") return true;
  }
  return false;
}

// The words of `arguments` with their verbs and options spelt out, in the form
// that the parser knows.
absl::StatusOr<std::vector<std::string>> ReadVerbs(
    const Verb& program, const std::vector<std::string>& arguments) {
  // Those before the verb; which others there are depends on the verb.
  SIMVISOR_ASSIGN_OR_RETURN(std::vector<std::string> words,
                            ExpandOptions(program, arguments));
  SIMVISOR_ASSIGN_OR_RETURN(words, ReplaceXlOptions(program, words));
  SIMVISOR_ASSIGN_OR_RETURN(
      words, ExpandVerbs(program, ReplaceHelp(program, std::move(words))));
  return ExpandOptions(program, std::move(words));
}

// Prints the error in the line that was parsed last.
void PrintUsageError(const CommandLine& line, const absl::Status& error,
                     Session& session) {
  const std::string program = line.program().name();
  const std::string verbs = line.chosen_verbs();
  if (verbs.empty()) {
    session.PrintUsageError(absl::StrCat(program, ": "), error);
  } else {
    session.PrintUsageError(absl::StrCat(program, " "),
                            LocateUsageError(line, verbs, error));
  }
  session.PrintAside(absl::StrCat("Run '", program, verbs.empty() ? "" : " ",
                                  verbs, " --help' for its arguments."));
}

absl::Status Do(const Action& action, Session& session) {
  if (session.options().address.empty()) {
    return UsageError("--address is empty; give unix:PATH or HOST:PORT");
  }
  return action(session);
}

// What standard output gave up with; OK if all of it is written.
absl::Status Flush(Session& session) {
  if (session.out().flush()) return absl::OkStatus();
  const int error = session.out_error();
  return WithReason(
      absl::DataLossError(absl::StrCat("cannot write to standard output",
                                       error == 0 ? "" : ": ",
                                       error == 0 ? "" : std::strerror(error))),
      OwnReason::kFileFailed);
}

constexpr char kDescription[] =
    "Creates and examines PV domains of a simulated machine.";

void Declare(CommandLine& line, Session& session, Commands& commands) {
  AddGlobalOptions(line.program(), session.options());
  line.SetVersion("-V,--version", VersionText());
  AddCommands(commands);
  // Verbs that are added after this would inherit the footer.
  line.program().SetFooter(kFooter);
}

}  // namespace

std::string ProgramName(const std::string& path) {
  return path.substr(path.rfind('/') + 1) == "xl" ? "xl" : "simvisor";
}

void VisitProgram(absl::FunctionRef<void(const Verb& program)> visit) {
  CommandLine line("simvisor", kDescription);
  std::ostringstream nowhere;
  Session session({.out = nowhere, .err = nowhere});
  Commands commands(line.program());
  Declare(line, session, commands);
  visit(line.program());
}

int RunApp(const std::vector<std::string>& arguments, const Streams& streams,
           const std::string& name) {
  CommandLine line(name, kDescription);
  Session session(streams);
  Commands commands(line.program());
  Declare(line, session, commands);
  if (AsksForJson(arguments)) session.options().output = "json";

  auto words = ReadVerbs(line.program(), arguments);
  if (words.ok() && words->empty()) {
    session.err() << line.program().Help();
    return kExitUsage;
  }
  if (!words.ok()) {
    session.PrintUsageError(absl::StrCat(name, ": "), words.status());
    return kExitUsage;
  }
  auto text = line.Parse(*std::move(words));
  if (!text.ok()) {
    PrintUsageError(line, text.status(), session);
    return kExitUsage;
  }
  absl::Status status =
      text->empty() ? Do(commands.chosen(), session) : absl::OkStatus();
  session.out() << *text;
  if (const absl::Status written = Flush(session); status.ok()) {
    status = written;
  }
  if (IsUsageError(status)) {
    PrintUsageError(line, status, session);
  } else if (!status.ok()) {
    session.PrintError(status);
  }
  return ExitCode(status);
}

}  // namespace simvisor::client
