#include "server/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "domain/cpus/cpu_mask.h"
#include "server/size.h"

namespace simvisor::server {
namespace {

using Word = std::optional<std::string>;

// A week: its milliseconds fit into an int.
constexpr uint32_t kMaxSeconds = 7 * 24 * 3600;
constexpr absl::Duration kMinStallTimeout = absl::Milliseconds(100);
constexpr absl::Duration kMaxStallTimeout = absl::Hours(24);

// The values as written.
struct Words {
  std::vector<std::string> listen;
  Word max_connections;
  Word handshake_timeout;
  Word idle_timeout;
  Word host_memory;
  Word dom0_memory;
  Word dom0_max_memory;
  Word dom0_hotplug_limit;
  Word dom0_ibft;
  Word dom0_tools_view;
  Word cpus;
  Word max_guest_memory;
  Word seed;
  Word placement;
  Word max_calls;
  Word max_message_memory;
  Word log_level;
  Word stall_timeout;
  Word migration_targets;
  Word max_image_memory;
};

// Messages of 4 MiB fit into the half that the largest may fill.
constexpr uint64_t kMinMessageBytes = uint64_t{16} << 20;
constexpr uint64_t kMaxMessageBytes = uint64_t{1} << 40;
constexpr uint32_t kMinCalls = 16;
constexpr uint32_t kMaxCalls = 1'000'000;

std::string FormatMib(uint64_t bytes) { return absl::StrCat(bytes >> 20, "m"); }

template <typename T>
using Choices = std::vector<std::pair<absl::string_view, T>>;

const Choices<Placement>& Placements() {
  static const auto* const kPlacements = new Choices<Placement>{
      {"lowest", Placement::kLowest}, {"scatter", Placement::kScatter}};
  return *kPlacements;
}

const Choices<ToolsView>& ToolsViews() {
  static const auto* const kViews = new Choices<ToolsView>{
      {"tree", ToolsView::kTree}, {"linear", ToolsView::kLinear}};
  return *kViews;
}

const Choices<std::optional<bool>>& IbftChoices() {
  static const auto* const kChoices = new Choices<std::optional<bool>>{
      {"auto", std::nullopt}, {"on", true}, {"off", false}};
  return *kChoices;
}

const Choices<spdlog::level::level_enum>& LogLevels() {
  static const auto* const kLevels = new Choices<spdlog::level::level_enum>{
      {"trace", spdlog::level::trace}, {"debug", spdlog::level::debug},
      {"info", spdlog::level::info},   {"warn", spdlog::level::warn},
      {"error", spdlog::level::err},   {"off", spdlog::level::off}};
  return *kLevels;
}

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
      "frames [1]");
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

absl::Status Named(absl::string_view flag, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat(flag, ": ", status.message()));
}

template <typename T>
absl::Status ReadChoice(absl::string_view flag, const Word& word,
                        const Choices<T>& choices, T& out) {
  if (!word.has_value()) return absl::OkStatus();
  for (const auto& [name, value] : choices) {
    if (name != *word) continue;
    out = value;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      flag, ": ", Quoted(*word), ": must be one of ",
      absl::StrJoin(choices, ", ", [](std::string* list, const auto& choice) {
        absl::StrAppend(list, choice.first);
      })));
}

template <typename Number>
absl::Status ReadNumber(absl::string_view flag, const Word& word, Number& out) {
  if (!word.has_value() || absl::SimpleAtoi(*word, &out)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": ", Quoted(*word), ": must be a number from 0 to 2^",
                   std::numeric_limits<Number>::digits, " - 1"));
}

absl::Status ReadCpus(const Word& word, uint32_t& out) {
  if (!word.has_value()) return absl::OkStatus();
  uint32_t cpus = 0;
  if (!absl::SimpleAtoi(*word, &cpus) || cpus < 1 || cpus > kMaxHostCpus) {
    return absl::InvalidArgumentError(
        absl::StrCat("--cpus: ", Quoted(*word), ": must be a number from 1 to ",
                     kMaxHostCpus));
  }
  out = cpus;
  return absl::OkStatus();
}

absl::Status ReadMaxConnections(const Word& word,
                                std::optional<uint32_t>& out) {
  if (!word.has_value()) return absl::OkStatus();
  uint32_t connections = 0;
  if (!absl::SimpleAtoi(*word, &connections) || connections < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("--max-connections: ", Quoted(*word),
                     ": must be a number from 1 to 2^32 - 1"));
  }
  out = connections;
  return absl::OkStatus();
}

absl::Status ReadSeconds(absl::string_view flag, const Word& word,
                         absl::Duration& out) {
  if (!word.has_value()) return absl::OkStatus();
  uint32_t seconds = 0;
  if (!absl::SimpleAtoi(*word, &seconds) || seconds < 1 ||
      seconds > kMaxSeconds) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": ", Quoted(*word), ": must be a number from 1 to ",
                     kMaxSeconds));
  }
  out = absl::Seconds(seconds);
  return absl::OkStatus();
}

template <typename Size>
absl::Status ReadSize(absl::string_view flag, const Word& word, Size& out) {
  if (!word.has_value()) return absl::OkStatus();
  const absl::StatusOr<PageCount> size = ParsePages(*word);
  if (!size.ok()) return Named(flag, size.status());
  out = *size;
  return absl::OkStatus();
}

absl::Status ReadDom0Size(const char* flag, const Word& word,
                          std::optional<PageCount>& out) {
  SIMVISOR_RETURN_IF_ERROR(ReadSize(flag, word, out));
  if (out != PageCount(0)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": 0 leaves dom0 no memory to start with"));
}

absl::Status ReadMaxCalls(const Word& word, uint32_t& out) {
  if (!word.has_value()) return absl::OkStatus();
  uint32_t calls = 0;
  if (!absl::SimpleAtoi(*word, &calls) || calls < kMinCalls ||
      calls > kMaxCalls) {
    return absl::InvalidArgumentError(
        absl::StrCat("--max-calls: ", Quoted(*word), ": must be a number from ",
                     kMinCalls, " to ", kMaxCalls));
  }
  out = calls;
  return absl::OkStatus();
}

absl::Status ReadMaxMessageMemory(const Word& word, uint64_t& out) {
  std::optional<PageCount> size;
  SIMVISOR_RETURN_IF_ERROR(ReadSize("--max-message-memory", word, size));
  if (!size.has_value()) return absl::OkStatus();
  if (size->value() < kMinMessageBytes / kPageSize ||
      size->value() > kMaxMessageBytes / kPageSize) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--max-message-memory: ", Quoted(*word), " is not from ",
        FormatMib(kMinMessageBytes), " to ", FormatMib(kMaxMessageBytes)));
  }
  out = size->value() * kPageSize;
  return absl::OkStatus();
}

// Enough to read the image of an ordinary guest.
constexpr PageCount kMinImageMemory{kPagesPerMiB};

absl::Status ReadImageMemory(const Word& word, PageCount& out) {
  SIMVISOR_RETURN_IF_ERROR(ReadSize("--max-image-memory", word, out));
  if (out >= kMinImageMemory) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--max-image-memory: ", Quoted(*word),
                   " is too little to read any image; give at least 1m"));
}

absl::Status ReadListen(const std::vector<std::string>& words,
                        std::vector<ListenAddress>& out) {
  for (const std::string& text : words) {
    const absl::StatusOr<ListenAddress> address = ListenAddress::Parse(text);
    if (!address.ok()) return Named("--listen", address.status());
    if (std::find(out.begin(), out.end(), *address) == out.end()) {
      out.push_back(*address);
    }
  }
  return absl::OkStatus();
}

absl::Status ReadStallTimeout(const Word& word, Clock::Time::duration& out) {
  if (!word.has_value()) return absl::OkStatus();
  absl::Duration time;
  if (!absl::ParseDuration(*word, &time) || time < kMinStallTimeout ||
      time > kMaxStallTimeout) {
    return absl::InvalidArgumentError(
        absl::StrCat("--stall-timeout: ", Quoted(*word),
                     ": must be a duration from 100ms to 24h, such as 90s"));
  }
  out = absl::ToChronoNanoseconds(time);
  return absl::OkStatus();
}

absl::Status ReadMigrationTargets(const Word& word, MigrationTargets& out) {
  if (!word.has_value()) return absl::OkStatus();
  const absl::StatusOr<MigrationTargets> targets =
      MigrationTargets::Parse(*word);
  if (!targets.ok()) return Named("--migration-targets", targets.status());
  out = *targets;
  return absl::OkStatus();
}

absl::Status ReadConnectionWords(const Words& words, Options& options) {
  SIMVISOR_RETURN_IF_ERROR(ReadListen(words.listen, options.listen));
  SIMVISOR_RETURN_IF_ERROR(
      ReadMaxConnections(words.max_connections, options.max_connections));
  SIMVISOR_RETURN_IF_ERROR(ReadSeconds("--handshake-timeout",
                                       words.handshake_timeout,
                                       options.handshake_timeout));
  return ReadSeconds("--idle-timeout", words.idle_timeout,
                     options.idle_timeout);
}

absl::Status ReadWords(const Words& words, Options& options) {
  SIMVISOR_RETURN_IF_ERROR(ReadConnectionWords(words, options));
  SIMVISOR_RETURN_IF_ERROR(
      ReadSize("--host-memory", words.host_memory, options.host_memory));
  SIMVISOR_RETURN_IF_ERROR(
      ReadDom0Size("--dom0-memory", words.dom0_memory, options.dom0_memory));
  SIMVISOR_RETURN_IF_ERROR(ReadDom0Size(
      "--dom0-max-memory", words.dom0_max_memory, options.dom0_max_memory));
  SIMVISOR_RETURN_IF_ERROR(ReadNumber("--dom0-hotplug-limit",
                                      words.dom0_hotplug_limit,
                                      options.dom0_hotplug_limit_gib));
  SIMVISOR_RETURN_IF_ERROR(ReadChoice("--dom0-ibft", words.dom0_ibft,
                                      IbftChoices(), options.dom0_ibft));
  SIMVISOR_RETURN_IF_ERROR(ReadChoice("--dom0-tools-view",
                                      words.dom0_tools_view, ToolsViews(),
                                      options.dom0_tools_view));
  SIMVISOR_RETURN_IF_ERROR(ReadCpus(words.cpus, options.cpus));
  SIMVISOR_RETURN_IF_ERROR(
      ReadStallTimeout(words.stall_timeout, options.calls.stall_timeout));
  SIMVISOR_RETURN_IF_ERROR(
      ReadMigrationTargets(words.migration_targets, options.migration_targets));
  SIMVISOR_RETURN_IF_ERROR(ReadSize(
      "--max-guest-memory", words.max_guest_memory, options.max_guest_memory));
  SIMVISOR_RETURN_IF_ERROR(ReadNumber("--seed", words.seed, options.seed));
  SIMVISOR_RETURN_IF_ERROR(ReadChoice("--placement", words.placement,
                                      Placements(), options.placement));
  SIMVISOR_RETURN_IF_ERROR(
      ReadMaxCalls(words.max_calls, options.calls.max_calls));
  SIMVISOR_RETURN_IF_ERROR(ReadMaxMessageMemory(words.max_message_memory,
                                                options.calls.message_bytes));
  SIMVISOR_RETURN_IF_ERROR(
      ReadImageMemory(words.max_image_memory, options.max_image_memory));
  return ReadChoice("--log-level", words.log_level, LogLevels(),
                    options.log_level);
}

EarlyExit UsageError(absl::string_view problem) {
  return {
      .code = kUsageExitCode,
      .out = "",
      .err = absl::StrCat("simvisord: ", problem, "; see simvisord --help\n")};
}

}  // namespace

std::variant<Options, EarlyExit> ParseFlags(
    const std::vector<std::string>& args) {
  Words words;
  Options options;
  CLI::App app(
      "Serves a simulated Xen-style machine and its domains over gRPC.",
      "simvisord");
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
