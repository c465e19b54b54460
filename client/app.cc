#include "client/app.h"

#include <algorithm>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "base/version.h"
#include "client/api/address.h"
#include "client/ui/exit_code.h"
#include "client/ui/verb_prefix.h"
#include "client/verbs/commands.h"

namespace simvisor::client {
namespace {

constexpr char kFooter[] =
    "Verbs may be abbreviated as long as they are unambiguous.\n"
    "\n"
    "Exit codes: 0 done; 1 the operation failed; 2 the command line is wrong;\n"
    "3 the daemon cannot be reached.  Errors are on standard error and end in\n"
    "the reason in parentheses (docs/errors.md).\n"
    "\n"
    "With -o json a command prints its response in protobuf's JSON form, "
    "where\n"
    "64-bit numbers are strings and bytes are base64.";

void AddGlobalOptions(CLI::App& app, GlobalOptions& options) {
  app.add_option(
      "-a,--address", options.address,
      "Daemon, as unix:PATH or HOST:PORT [" + DefaultAddress() + "]");
  app.add_option("-o,--output", options.output, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.add_option("--timeout", options.timeout_seconds,
                 "Seconds that each call may take; no limit by default")
      ->check(CLI::Range(0.001, 1e6));
  app.set_version_flag("-V,--version", absl::StrCat("simvisor ", kVersion));
}

void AddCommands(Commands& commands) {
  AddCreateCommand(commands);
  AddListCommands(commands);
  AddLifecycleCommands(commands);
  AddImageCommands(commands);
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
  AddFaultCommands(commands);
  AddE820Commands(commands);
}

// Prints help, the version or what is wrong; returns the exit code.
int Explain(const CLI::App& app, const CLI::ParseError& error,
            Session& session) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
    app.exit(error, session.out(), session.err());
    return kExitDone;
  }
  const CLI::App* at = &app;
  std::string command = app.get_name();
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    command += " " + at->get_name();
  }
  session.err() << command << ": " << error.what() << "\n"
                << "Run '" << command << " --help' for its arguments.\n";
  return kExitUsage;
}

}  // namespace

int RunApp(const std::vector<std::string>& arguments, const Streams& streams) {
  CLI::App app("Creates and examines PV domains of a simulated machine.",
               "simvisor");
  Session session(streams);
  Commands commands(app);
  AddGlobalOptions(app, session.options());
  AddCommands(commands);
  app.require_subcommand(1);
  app.footer(kFooter);

  if (arguments.empty()) {
    session.err() << app.help();
    return kExitUsage;
  }
  auto expanded = ExpandVerbs(app, arguments);
  if (!expanded.ok()) {
    session.PrintError(expanded.status());
    return kExitUsage;
  }
  std::vector<std::string> reversed = *std::move(expanded);
  std::reverse(reversed.begin(), reversed.end());  // as CLI11 wants them
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    return Explain(app, error, session);
  }
  absl::Status status = commands.chosen()(session);
  if (!session.out().flush() && status.ok()) {
    status = absl::DataLossError("cannot write to standard output");
  }
  if (!status.ok()) session.PrintError(status);
  return ExitCode(status);
}

}  // namespace simvisor::client
