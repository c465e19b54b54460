// e820 explain.

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "client/explain/explanation.h"
#include "client/explain/explanation_json.h"
#include "client/ui/exit_code.h"
#include "client/ui/image_file.h"
#include "client/ui/quantities.h"
#include "client/verbs/commands.h"

namespace simvisor::client {
namespace {

struct ExplainArgs {
  std::string log;
  std::string dom0_memory;
  std::string dom0_max_memory;
  uint32_t dom0_hotplug_limit_gib = 0;
  std::string dom0_ibft = "auto";
  std::string guest_memory;
  std::string guest_max_memory;
};

absl::StatusOr<std::optional<PageCount>> ParseSize(const char* flag,
                                                   const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto pages = ParseXlMemory(text);
  if (pages.ok()) return PageCount(*pages);
  return UsageError(absl::StrCat(flag, ": ", pages.status().message()));
}

// The same for dom0, which cannot have 0 bytes.
absl::StatusOr<std::optional<PageCount>> ParseDom0Size(
    const char* flag, const std::string& text) {
  SIMVISOR_ASSIGN_OR_RETURN(const std::optional<PageCount> size,
                            ParseSize(flag, text));
  if (size != PageCount(0)) return size;
  return UsageError(
      absl::StrCat(flag, ": 0 leaves dom0 no memory to start with"));
}

absl::StatusOr<ExplainOptions> ParseOptions(const ExplainArgs& args) {
  ExplainOptions options;
  SIMVISOR_ASSIGN_OR_RETURN(options.dom0_memory,
                            ParseDom0Size("--dom0-memory", args.dom0_memory));
  SIMVISOR_ASSIGN_OR_RETURN(
      options.dom0_max_memory,
      ParseDom0Size("--dom0-max-memory", args.dom0_max_memory));
  options.dom0_hotplug_limit_gib = args.dom0_hotplug_limit_gib;
  if (args.dom0_ibft != "auto") options.dom0_ibft = args.dom0_ibft == "on";
  SIMVISOR_ASSIGN_OR_RETURN(options.guest_memory,
                            ParseSize("--guest-memory", args.guest_memory));
  SIMVISOR_ASSIGN_OR_RETURN(
      options.guest_max_memory,
      ParseSize("--guest-max-memory", args.guest_max_memory));
  if (options.guest_max_memory.has_value() &&
      *options.guest_max_memory < options.guest_memory) {
    return UsageError(
        absl::StrCat("--guest-max-memory: ", args.guest_max_memory,
                     " is less than --guest-memory, ", args.guest_memory));
  }
  return options;
}

// `error` with the name of the log, if the log is what is wrong.
absl::Status NameLog(const std::string& log, const absl::Status& error) {
  const std::string malformed(ReasonName(Reason::kE820Malformed));
  return simvisor::ReasonOf(error) == malformed ? NameFile(log, error) : error;
}

absl::Status ExplainLog(Session& session, const ExplainArgs& args) {
  SIMVISOR_ASSIGN_OR_RETURN(const ExplainOptions options, ParseOptions(args));
  SIMVISOR_ASSIGN_OR_RETURN(const std::string log,
                            ReadTextFile(args.log, kMaxBootLogBytes));
  SIMVISOR_RETURN_IF_ERROR(
      CheckNotEmpty(args.log, log, "give a machine's boot log"));
  const absl::StatusOr<Explanation> read = Explain(log, options);
  if (!read.ok()) return NameLog(args.log, read.status());
  const Explanation& explanation = *read;
  if (session.json()) {
    session.PrintJson(ExplanationToJson(explanation));
  } else {
    session.out() << ExplanationText(explanation);
  }
  return absl::OkStatus();
}

}  // namespace

void AddE820Commands(Commands& commands) {
  Verb group =
      commands.AddGroup("e820", "Memory maps of machines, without a daemon");
  auto args = std::make_shared<ExplainArgs>();
  Verb verb = commands.Add(
      group, "explain", "Show what the kernels of a machine make of its memory",
      [args](Session& session) { return ExplainLog(session, *args); });
  verb.AddPositional(
          "LOG", args->log,
          "Boot log (dmesg, xl dmesg, serial capture), - for standard "
          "input")
      .Required();
  verb.AddOption("--dom0-memory", args->dom0_memory,
                 "Memory of dom0 [as the log says, else 4g, or a quarter of "
                 "the machine if less]");
  verb.AddOption("--dom0-max-memory", args->dom0_max_memory,
                 "Most memory of dom0; it starts with no more [as the log "
                 "says, else all of the machine]");
  verb.AddOption("--dom0-hotplug-limit", args->dom0_hotplug_limit_gib,
                 "GiB that dom0's p2m area has room for at least")
      .Between(0, 1 << 20)
      .ShowDefault();
  verb.AddOption("--dom0-ibft", args->dom0_ibft,
                 "Whether dom0's kernel reserves 512 KiB to 1 MiB: auto (as "
                 "the log says), on or off")
      .OneOf({"auto", "on", "off"})
      .ShowDefault();
  const Argument guest = verb.AddOption(
      "--guest-memory", args->guest_memory,
      "Memory of a 64-bit guest with e820_host to explain as well");
  verb.AddOption("--guest-max-memory", args->guest_max_memory,
                 "Its maxmem [--guest-memory]")
      .Needs(guest);
  verb.SetFooter(
      "The memory sizes take t, g, m, k or b; MiB without.  The daemon is not\n"
      "asked: simvisord --host-e820 LOG boots dom0 with the same figures.\n"
      "docs/boot-logs.md says which logs can be read, and explains each line.");
}

}  // namespace simvisor::client
