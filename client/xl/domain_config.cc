#include "client/xl/domain_config.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "base/uuid.h"
#include "client/api/error_lines.h"
#include "client/api/text_check.h"
#include "client/xl/affinity_keys.h"
#include "client/xl/config_keys.h"
#include "client/xl/known_keys.h"
#include "client/xl/pci_spec.h"
#include "client/xl/xlu_config.h"

namespace simvisor::client {
namespace {

constexpr uint64_t kPagesPerMib = 256;
// libxl's default for a config without a memory size.
constexpr long kDefaultMemoryMib = 32;

// Actions for the end of a domain.
constexpr absl::string_view kActions[] = {
    "destroy",          "restart",          "rename-restart", "preserve",
    "coredump-destroy", "coredump-restart", "soft-reset"};

// The words allowed for a key, and their values.
template <typename Value>
using Choices = std::vector<std::pair<absl::string_view, Value>>;

// Fills a spec from a parsed config, one group of keys at a time.
class SpecBuilder {
 public:
  explicit SpecBuilder(XluConfig& config) : config_(config) {}

  absl::StatusOr<v1::DomainSpec> Build() {
    for (const auto step :
         {&SpecBuilder::Type, &SpecBuilder::Identity, &SpecBuilder::Memory,
          &SpecBuilder::Vcpus, &SpecBuilder::Actions, &SpecBuilder::Devices,
          &SpecBuilder::Kernel, &SpecBuilder::PaeKernel}) {
      SIMVISOR_RETURN_IF_ERROR((this->*step)());
    }
    return spec_;
  }

 private:
  absl::Status Type();
  absl::Status Identity();
  absl::Status Memory();
  absl::Status Vcpus();
  absl::Status Actions();
  absl::Status Devices();
  absl::Status Kernel();
  absl::Status PaeKernel();

  // The kind of domain that `key` names, or nullopt; xl accepts any prefix of a
  // word, and takes the first word that matches.
  absl::StatusOr<std::optional<std::string>> KindOf(
      const char* key, absl::Span<const absl::string_view> kinds);

  // The value of `key`, or nullopt; INVALID_ARGUMENT outside [0, max].
  absl::StatusOr<std::optional<uint64_t>> Count(const char* key, uint64_t max);

  // The value of the word at `key`, or nullopt; INVALID_ARGUMENT if the word is
  // not among `choices`.
  template <typename Value>
  absl::StatusOr<std::optional<Value>> Choice(const char* key,
                                              const Choices<Value>& choices);

  XluConfig& config_;
  v1::DomainSpec spec_;
};

absl::StatusOr<std::optional<uint64_t>> SpecBuilder::Count(const char* key,
                                                           uint64_t max) {
  SIMVISOR_ASSIGN_OR_RETURN(const auto value, config_.GetLong(key));
  if (!value) return std::nullopt;
  if (*value < 0 || static_cast<uint64_t>(*value) > max) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: %d: the value must be 0 to %d", key, *value, max));
  }
  return static_cast<uint64_t>(*value);
}

template <typename Value>
absl::StatusOr<std::optional<Value>> SpecBuilder::Choice(
    const char* key, const Choices<Value>& choices) {
  SIMVISOR_ASSIGN_OR_RETURN(const std::optional<std::string> word,
                            config_.GetString(key));
  if (!word) return std::nullopt;
  std::vector<absl::string_view> words;
  for (const auto& [name, value] : choices) {
    if (*word == name) return value;
    words.push_back(name);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      key, ": '", *word, "': must be one of ", absl::StrJoin(words, ", ")));
}

absl::StatusOr<std::optional<std::string>> SpecBuilder::KindOf(
    const char* key, absl::Span<const absl::string_view> kinds) {
  SIMVISOR_ASSIGN_OR_RETURN(const std::optional<std::string> word,
                            config_.GetString(key));
  if (!word) return std::nullopt;
  for (const absl::string_view kind : kinds) {
    if (!absl::StartsWith(kind, *word)) continue;
    return std::string(kind == "generic" || kind == "linux" ? "pv" : kind);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("Invalid domain type ", *word, "."));
}

absl::Status SpecBuilder::Type() {
  SIMVISOR_ASSIGN_OR_RETURN(const auto type,
                            KindOf("type", {"hvm", "pv", "pvh"}));
  // "linux" was xm's value.
  SIMVISOR_ASSIGN_OR_RETURN(const auto builder,
                            KindOf("builder", {"hvm", "generic", "linux"}));
  if (type && builder && *type != *builder) {
    return absl::InvalidArgumentError(
        "Contradicting \"builder\" and \"type\" options specified.");
  }
  const std::string kind = type.value_or(builder.value_or("pv"));
  if (kind == "pv") return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("Domain type ", kind,
                   ": only PV domains exist here; write type = \"pv\""));
}

absl::Status SpecBuilder::Identity() {
  SIMVISOR_ASSIGN_OR_RETURN(const std::optional<std::string> name,
                            config_.GetString("name"));
  if (!name || name->empty()) {
    return absl::InvalidArgumentError("Domain name must be specified.");
  }
  SIMVISOR_RETURN_IF_ERROR(CheckUtf8("name", *name));
  spec_.set_name(*name);
  SIMVISOR_ASSIGN_OR_RETURN(const std::optional<std::string> uuid,
                            config_.GetString("uuid"));
  // libxl_uuid_from_string() refuses other forms.
  if (uuid && !HasUuidForm(*uuid)) {
    return absl::InvalidArgumentError(
        absl::StrCat("Failed to parse UUID: ", *uuid));
  }
  if (uuid) spec_.set_uuid(*uuid);
  return absl::OkStatus();
}

absl::Status SpecBuilder::Memory() {
  constexpr uint64_t kMaxMib =
      std::numeric_limits<uint64_t>::max() / kPagesPerMib;
  SIMVISOR_ASSIGN_OR_RETURN(const std::optional<uint64_t> memory,
                            Count("memory", kMaxMib));
  SIMVISOR_ASSIGN_OR_RETURN(const std::optional<uint64_t> maxmem,
                            Count("maxmem", kMaxMib));
  const uint64_t pages =
      memory.value_or(maxmem.value_or(kDefaultMemoryMib)) * kPagesPerMib;
  spec_.set_memory_pages(pages);
  if (maxmem && *maxmem * kPagesPerMib < pages) {
    return absl::InvalidArgumentError(
        absl::StrFormat("maxmem: %d MiB: must not be below memory, %d MiB",
                        *maxmem, pages / kPagesPerMib));
  }
  spec_.set_max_memory_pages(maxmem.value_or(0) * kPagesPerMib);
  for (const char* key : {"simvisor_hotplug_limit", "memory_hotplug_limit"}) {
    SIMVISOR_ASSIGN_OR_RETURN(const std::optional<uint64_t> limit,
                              Count(key, std::numeric_limits<uint32_t>::max()));
    if (limit) spec_.set_memory_hotplug_limit_gib(*limit);
  }
  return absl::OkStatus();
}

absl::Status SpecBuilder::Vcpus() {
  constexpr uint64_t kMax = std::numeric_limits<int32_t>::max();
  SIMVISOR_ASSIGN_OR_RETURN(const std::optional<uint64_t> maxvcpus,
                            Count("maxvcpus", kMax));
  SIMVISOR_ASSIGN_OR_RETURN(const std::optional<uint64_t> vcpus,
                            Count("vcpus", kMax));
  if (maxvcpus && vcpus && *maxvcpus < *vcpus) {
    return absl::InvalidArgumentError(absl::StrCat(
        "maxvcpus: ", *maxvcpus, ": must not be below vcpus, ", *vcpus));
  }
  // libxl puts one online if none is asked for.
  spec_.set_vcpus(std::max<uint64_t>(vcpus.value_or(1), 1));
  return ReadAffinities(config_, spec_);
}

// Domains here never end on their own, but what xl refuses is refused.
absl::Status SpecBuilder::Actions() {
  for (const char* key : {"on_poweroff", "on_reboot", "on_watchdog", "on_crash",
                          "on_soft_reset"}) {
    SIMVISOR_ASSIGN_OR_RETURN(const std::optional<std::string> action,
                              config_.GetString(key));
    if (!action || std::find(std::begin(kActions), std::end(kActions),
                             *action) != std::end(kActions)) {
      continue;
    }
    return absl::InvalidArgumentError(
        absl::StrCat("Unknown ", key, " action \"", *action,
                     "\" specified; xl has ", absl::StrJoin(kActions, ", ")));
  }
  return absl::OkStatus();
}

absl::Status SpecBuilder::Devices() {
  SIMVISOR_ASSIGN_OR_RETURN(const auto devices, config_.GetStrings("pci"));
  for (const std::string& text : devices) {
    SIMVISOR_ASSIGN_OR_RETURN(auto device, ParsePciSpec(text));
    spec_.add_pci_devices(std::move(device));
  }
  // xl takes any number but 0 for true.
  SIMVISOR_ASSIGN_OR_RETURN(const auto e820_host, config_.GetLong("e820_host"));
  // xl forces it as well: a device needs the host's holes.
  if (e820_host.value_or(0) != 0 || !devices.empty()) {
    spec_.set_e820_host(true);
  }
  return absl::OkStatus();
}

absl::Status SpecBuilder::Kernel() {
  SIMVISOR_ASSIGN_OR_RETURN(
      const auto arch,
      Choice<v1::Arch>("arch", {{"x86_64", v1::ARCH_X86_64},
                                {"x86_32_pae", v1::ARCH_X86_32_PAE}}));
  if (arch) spec_.set_arch(*arch);
  SIMVISOR_ASSIGN_OR_RETURN(
      const auto view,
      Choice<v1::ToolsView>("tools_view", {{"tree", v1::TOOLS_VIEW_TREE},
                                           {"linear", v1::TOOLS_VIEW_LINEAR}}));
  if (view) spec_.set_tools_view(*view);
  SIMVISOR_ASSIGN_OR_RETURN(
      const auto room,
      Choice<v1::BalloonRoom>("balloon_room",
                              {{"faithful", v1::BALLOON_ROOM_FAITHFUL},
                               {"compact", v1::BALLOON_ROOM_COMPACT}}));
  if (room) spec_.set_balloon_room(*room);
  SIMVISOR_ASSIGN_OR_RETURN(
      const std::optional<uint64_t> retry,
      Count("balloon_max_retry", std::numeric_limits<uint32_t>::max()));
  if (retry) spec_.set_balloon_max_retry(*retry);
  return absl::OkStatus();
}

absl::Status SpecBuilder::PaeKernel() {
  SIMVISOR_ASSIGN_OR_RETURN(const std::optional<uint64_t> shared,
                            Count("shared_kernel_pmd", 1));
  SIMVISOR_ASSIGN_OR_RETURN(
      const auto split,
      Choice<v1::KernelSplit>("kernel_split",
                              {{"3g1g", v1::KERNEL_SPLIT_3G_1G},
                               {"2g2g", v1::KERNEL_SPLIT_2G_2G},
                               {"1g3g", v1::KERNEL_SPLIT_1G_3G}}));
  if (shared) spec_.mutable_pae_kernel()->set_shared_kernel_pmd(*shared == 1);
  if (split) spec_.mutable_pae_kernel()->set_split(*split);
  return absl::OkStatus();
}

// Collects warnings about the keys of a file and of arguments.
class KeyRemarks {
 public:
  // Records the keys of `text`, which comes from `source`.
  void Add(absl::string_view source, absl::string_view text, bool with_lines) {
    for (const AssignedKey& key : FindAssignedKeys(text)) {
      if (!seen_.insert(key.name).second) continue;
      if (!IsKnownKey(key.name)) {
        unknown_.push_back(Unknown(
            with_lines ? absl::StrCat(source, ":", key.line) : source, key));
      } else if (!HasEffect(key.name)) {
        idle_.push_back(key.name);
      }
    }
  }

  // Adds a line for each key that xl does not have; of many only the first, and
  // how many more there are.
  void AddUnknown(std::vector<std::string>& warnings) const {
    const size_t shown = std::min(unknown_.size(), kMaxErrorLines);
    warnings.insert(warnings.end(), unknown_.begin(), unknown_.begin() + shown);
    const size_t more = unknown_.size() - shown;
    if (more == 0) return;
    warnings.push_back(absl::StrCat(
        more, more == 1 ? " more key is" : " more keys are", " unknown"));
  }
  // One line for all of xl's keys that have no effect; empty without such keys.
  std::string Idle() const {
    return idle_.empty() ? ""
                         : absl::StrCat("without effect here: ",
                                        absl::StrJoin(idle_, ", "));
  }

 private:
  static std::string Unknown(absl::string_view where, const AssignedKey& key) {
    const std::string nearest = NearestKey(key.name);
    return absl::StrCat(
        where, ": unknown key '", key.name, "' has no effect",
        nearest.empty() ? "" : absl::StrCat("; did you mean '", nearest, "'?"));
  }

  absl::flat_hash_set<std::string> seen_;
  std::vector<std::string> unknown_;
  std::vector<std::string> idle_;
};

// A NUL in a string would trip an assertion in libxlutil and abort the program.
absl::Status CheckBytes(absl::string_view source, absl::string_view text) {
  if (!absl::StrContains(text, '\0')) return absl::OkStatus();
  const bool utf16 =
      absl::StartsWith(text, "\xff\xfe") || absl::StartsWith(text, "\xfe\xff");
  return absl::InvalidArgumentError(
      absl::StrCat(source, utf16 ? ": is UTF-16; convert it, such as with "
                                   "iconv -f utf-16 -t utf-8"
                                 : ": holds a zero byte; xl's files are text"));
}

// What is wrong with the first number that cannot be one; empty without such a
// number.
std::string NumberCause(absl::string_view text) {
  const auto bad = FindBadNumber(text);
  if (!bad) return "";
  return absl::StrCat("line ", bad->line, ", ", bad->statement, ": ",
                      kNumberRule);
}

// A likely cause of a syntax error that libxlutil's report does not show:
// characters that look like others or are invisible, and numbers with a point
// or a unit.  Empty without such a cause.
std::string HiddenCause(absl::string_view text) {
  if (absl::StartsWith(text, "\xef\xbb\xbf")) {
    return "the file begins with a byte order mark; xl's files have none";
  }
  const auto stray = FindStrayCharacter(text);
  if (!stray) return NumberCause(text);
  if (stray->text == "\r") {
    return absl::StrContains(text, "\r\n")
               ? "lines end in CR LF; xl's files have LF only"
               : "lines end in CR; xl's files have LF only";
  }
  const Character character = FirstCharacter(stray->text);
  return absl::StrCat(
      "line ", stray->line, " has ",
      character.bytes == 0 ? absl::StrFormat("byte 0x%02x", character.code)
                           : absl::StrFormat("U+%04X, %s,", character.code,
                                             Printable(stray->text)),
      " outside of quotes, where xl's files are ASCII; retype it");
}

// libxlutil's report, with the hidden cause.
absl::Status ExplainSyntax(const absl::Status& report, absl::string_view text) {
  const std::string cause = HiddenCause(text);
  if (cause.empty()) return report;
  return absl::InvalidArgumentError(
      absl::StrCat(report.message(), "\n", cause));
}

// Parses an override by itself first, so that a report names the argument
// instead of a line that is in no file.
absl::Status CheckOverride(const std::string& text) {
  const std::string name = absl::StrCat("argument '", text, "'");
  if (!absl::StrContains(text, "=")) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": must be KEY=VALUE"));
  }
  auto parsed = XluConfig::Parse(name, absl::StrCat(text, "\n"));
  if (parsed.ok()) return absl::OkStatus();
  const bool number = FindBadNumber(text).has_value();
  return absl::InvalidArgumentError(absl::StrCat(
      parsed.status().message(), "\n",
      number ? kNumberRule
             : "text needs quotes that reach the parser: 'name=\"web\"'"));
}

}  // namespace

absl::StatusOr<v1::DomainSpec> ParseDomainConfig(
    absl::string_view file_name, absl::string_view text,
    absl::Span<const std::string> overrides,
    std::vector<std::string>& warnings) {
  SIMVISOR_RETURN_IF_ERROR(CheckBytes(file_name, text));
  KeyRemarks remarks;
  remarks.Add(file_name, text, /*with_lines=*/true);
  std::string whole(text);
  for (const std::string& statement : overrides) {
    SIMVISOR_RETURN_IF_ERROR(CheckOverride(statement));
    remarks.Add("argument", statement, /*with_lines=*/false);
    absl::StrAppend(&whole, "\n", statement, "\n");
  }
  auto config = XluConfig::Parse(file_name, whole);
  if (!config.ok()) return ExplainSyntax(config.status(), whole);
  // A misspelt key may cause the error; a key without effect does not.
  remarks.AddUnknown(warnings);
  auto spec = SpecBuilder(**config).Build();
  if (spec.ok() && !remarks.Idle().empty()) warnings.push_back(remarks.Idle());
  return spec;
}

}  // namespace simvisor::client
