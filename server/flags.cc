#include "server/flags.h"

#include <CLI/CLI.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/version.h"
#include "domain/cpus/cpu_mask.h"
#include "server/flag_words.h"

namespace simvisor::server {
namespace {

void AddMachineFlags(CLI::App& app, Words& words, Options& options) {
  const auto add = [&app](const std::string& flag, auto& word,
                          const std::string& type, const std::string& help) {
    return app.add_option(flag, word, help)->type_name(type)->group("Machine");
  };
  CLI::Option* const memory =
      add("--host-memory", words.host_memory, "SIZE",
          "RAM of the machine [64g]; a SIZE is a number with t, g, m, k or b, "
          "and in MiB without");
  add("--host-e820", options.host_e820_file, "FILE",
      "boot log (dmesg, xl dmesg, serial capture) whose memory map the "
      "machine has; see docs/boot-logs.md")
      ->excludes(memory);
  add("--dom0-memory", words.dom0_memory, "SIZE",
      "memory of dom0 [as the boot log says, else 4g, or a quarter of the "
      "machine if less]");
  add("--dom0-max-memory", words.dom0_max_memory, "SIZE",
      "what dom0 may be ballooned up to; if it is less than --dom0-memory, "
      "dom0 starts with it, as in Xen [as the boot log says, else all of the "
      "machine]");
  add("--dom0-hotplug-limit", words.dom0_hotplug_limit, "GIB",
      "GiB that dom0's p2m area is sized for at least, for memory hotplug "
      "[0]");
  add("--dom0-ibft", words.dom0_ibft, "auto|on|off",
      "whether dom0's kernel reserves 512 KiB to 1 MiB, where firmware keeps "
      "its table for booting over iSCSI: today's kernels do; with auto, the "
      "map in a kernel's boot log is used unchanged [auto]");
  add("--dom0-tools-view", words.dom0_tools_view, "tree|linear",
      "where tools find dom0's p2m list: the tree of its frames, or page "
      "tables [tree]");
  add("--cpus", words.cpus, "N",
      absl::StrCat("CPUs that virtual CPUs can be pinned to, 1 to ",
                   kMaxHostCpus, " [", options.cpus, "]"));
  add("--seed", words.seed, "N",
      "seed of everything random: the same seed and calls give the same "
      "frames, and if it is given, the same uuids [1]");
  add("--placement", words.placement, "lowest|scatter",
      "which free frames are handed out first [lowest]");
}

void AddConnectionFlags(CLI::App& app, Words& words) {
  const auto add = [&app](const std::string& flag, Word& word,
                          const std::string& type, const std::string& help) {
    app.add_option(flag, word, help)->type_name(type)->group("Connections");
  };
  add("--max-connections", words.max_connections, "N",
      absl::StrCat(
          "most connections open at the same time; further ones wait [",
          kDefaultMaxConnections,
          ", or what the limit of open files allows if less]"));
  add("--handshake-timeout", words.handshake_timeout, "SECONDS",
      "how long a new connection may take to speak HTTP/2 [5]");
  add("--idle-timeout", words.idle_timeout, "SECONDS",
      "how long a connection without a call may be idle before it may be "
      "closed to make room for a new one [60]");
}

void AddLimitFlags(CLI::App& app, Words& words, const Options& options) {
  const auto add = [&app](const std::string& flag, Word& word,
                          const std::string& type, const std::string& help) {
    app.add_option(flag, word, help)->type_name(type)->group("Limits");
  };
  add("--max-calls", words.max_calls, "N",
      absl::StrCat("calls that may be open at once, over all connections; "
                   "streams may be half of them [",
                   options.calls.max_calls, "]"));
  add("--max-message-memory", words.max_message_memory, "SIZE",
      absl::StrCat("memory for requests and answers of all calls, and as much "
                   "again for incomplete requests, ",
                   FormatMib(kMinMessageBytes), " at least [",
                   FormatMib(options.calls.message_bytes), "]"));
  add("--mmu-grace-ms", words.mmu_grace_ms, "N",
      "milliseconds that secondary MMUs have to answer a change that does not "
      "wait for them, 0 to 1000 [5]");
  add("--max-image-memory", words.max_image_memory, "SIZE",
      absl::StrCat("memory for images being restored, besides their guests' "
                   "pages, 1m at least [",
                   FormatMib(options.max_image_memory.in_bytes()), "]"));
}

void AddFlags(CLI::App& app, Words& words, Options& options) {
  app.set_version_flag("--version", absl::StrCat("simvisord ", kVersion));
  app.add_option("--listen", words.listen,
                 "unix:PATH or HOST:PORT, may be repeated; port 0 lets the "
                 "system choose [the user's simvisor.sock]")
      ->type_name("ADDR")
      ->allow_extra_args(false);
  app.add_option("--log-level", words.log_level,
                 "how much is logged to stderr; info has a line for each event "
                 "in a domain's life, debug one for each call [info]")
      ->type_name("trace|debug|info|warn|error|off");
  app.add_option(
         "--stall-timeout", words.stall_timeout,
         "how long a stream waits for a client, or another daemon, that "
         "makes no progress, 100ms to 24h, such as 90s [60s]")
      ->type_name("DURATION");
  app.add_option("--migration-targets", words.migration_targets,
                 "where domains may be migrated to: any, none, or a list of "
                 "local, unix:PATH, unix:FOLDER/*, ADDRESS[/BITS][:PORT] with "
                 "commas between them; local is unix:*,127.0.0.0/8,[::1] "
                 "[local]")
      ->type_name("LIST");
  app.add_option("--max-guest-memory", words.max_guest_memory,
                 "what the written pages of all guests may take of this "
                 "system's memory, 0 for no limit [half of it]")
      ->type_name("SIZE");
  app.add_flag(
      "--enable-fault-injection", options.fault_injection,
      "accept rules that make calls fail, wait or kill the daemon, for "
      "tests; simvisor fault enable does so later");
  AddConnectionFlags(app, words);
  AddMachineFlags(app, words, options);
  AddLimitFlags(app, words, options);
  app.footer(
      "SIGTERM, SIGINT and SIGHUP let calls end for up to 5 seconds, then end "
      "the daemon.\nSIGINT after a second of that, and SIGQUIT, end it at "
      "once.");
}

constexpr char kDescription[] =
    "Serves a simulated Xen-style machine and its domains over gRPC.";

EarlyExit UsageError(absl::string_view problem) {
  return {
      .code = kUsageExitCode,
      .out = "",
      .err = absl::StrCat("simvisord: ", problem, "; see simvisord --help\n")};
}

}  // namespace

DaemonHelp DescribeFlags() {
  Words words;
  Options options;
  CLI::App app(kDescription, "simvisord");
  AddFlags(app, words, options);
  DaemonHelp help = {
      .description = kDescription, .flags = {}, .footer = app.get_footer()};
  for (const CLI::Option* option : app.get_options()) {
    const bool takes_value = option->get_items_expected_max() > 0;
    help.flags.push_back({.names = option->get_name(false, true),
                          .value = takes_value ? option->get_type_name() : "",
                          .text = option->get_description(),
                          .group = option->get_group()});
  }
  return help;
}

std::variant<Options, EarlyExit> ParseFlags(
    const std::vector<std::string>& args) {
  Words words;
  Options options;
  CLI::App app(kDescription, "simvisord");
  AddFlags(app, words, options);
  try {
    // CLI11 takes arguments from the back.
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::CallForHelp&) {
    return EarlyExit{.code = 0, .out = app.help(), .err = ""};
  } catch (const CLI::CallForVersion& version) {
    return EarlyExit{
        .code = 0, .out = absl::StrCat(version.what(), "\n"), .err = ""};
  } catch (const CLI::ParseError& error) {
    return UsageError(error.what());
  }
  const absl::Status status = ReadWords(words, options);
  if (!status.ok()) return UsageError(status.message());
  return options;
}

}  // namespace simvisor::server
