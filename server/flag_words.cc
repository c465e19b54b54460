#include "server/flag_words.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "domain/cpus/cpu_mask.h"
#include "server/size.h"

namespace simvisor::server {
namespace {

// A week: its milliseconds fit into an int.
constexpr uint32_t kMaxSeconds = 7 * 24 * 3600;
constexpr absl::Duration kMinStallTimeout = absl::Milliseconds(100);
constexpr absl::Duration kMaxStallTimeout = absl::Hours(24);

constexpr uint64_t kMaxMessageBytes = uint64_t{1} << 40;
constexpr uint32_t kMinCalls = 16;
constexpr uint32_t kMaxMmuGraceMs = 1000;
constexpr uint32_t kMaxCalls = 1'000'000;

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
absl::Status ReadNumber(absl::string_view flag, const Word& word, Number& out,
                        absl::string_view unit = "") {
  if (!word.has_value() || absl::SimpleAtoi(*word, &out)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": ", Quoted(*word), ": must be a number from 0 to 2^",
                   std::numeric_limits<Number>::digits, " - 1", unit));
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

absl::Status ReadMmuGrace(const Word& word, absl::Duration& out) {
  if (!word.has_value()) return absl::OkStatus();
  uint32_t ms = 0;
  if (!absl::SimpleAtoi(*word, &ms) || ms > kMaxMmuGraceMs) {
    return absl::InvalidArgumentError(
        absl::StrCat("--mmu-grace-ms: ", Quoted(*word),
                     ": must be a number from 0 to ", kMaxMmuGraceMs));
  }
  out = absl::Milliseconds(ms);
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

}  // namespace

std::string FormatMib(uint64_t bytes) { return absl::StrCat(bytes >> 20, "m"); }

absl::Status ReadWords(const Words& words, Options& options) {
  SIMVISOR_RETURN_IF_ERROR(ReadConnectionWords(words, options));
  SIMVISOR_RETURN_IF_ERROR(
      ReadSize("--host-memory", words.host_memory, options.host_memory));
  SIMVISOR_RETURN_IF_ERROR(
      ReadDom0Size("--dom0-memory", words.dom0_memory, options.dom0_memory));
  SIMVISOR_RETURN_IF_ERROR(ReadDom0Size(
      "--dom0-max-memory", words.dom0_max_memory, options.dom0_max_memory));
  SIMVISOR_RETURN_IF_ERROR(
      ReadNumber("--dom0-hotplug-limit", words.dom0_hotplug_limit,
                 options.dom0_hotplug_limit_gib, " of GiB: 1024 is 1 TiB"));
  SIMVISOR_RETURN_IF_ERROR(ReadChoice("--dom0-ibft", words.dom0_ibft,
                                      IbftChoices(), options.dom0_ibft));
  SIMVISOR_RETURN_IF_ERROR(ReadChoice("--dom0-tools-view",
                                      words.dom0_tools_view, ToolsViews(),
                                      options.dom0_tools_view));
  SIMVISOR_RETURN_IF_ERROR(ReadCpus(words.cpus, options.cpus));
  SIMVISOR_RETURN_IF_ERROR(ReadMmuGrace(words.mmu_grace_ms, options.mmu_grace));
  SIMVISOR_RETURN_IF_ERROR(
      ReadStallTimeout(words.stall_timeout, options.calls.stall_timeout));
  SIMVISOR_RETURN_IF_ERROR(
      ReadMigrationTargets(words.migration_targets, options.migration_targets));
  SIMVISOR_RETURN_IF_ERROR(ReadSize(
      "--max-guest-memory", words.max_guest_memory, options.max_guest_memory));
  SIMVISOR_RETURN_IF_ERROR(ReadNumber("--seed", words.seed, options.seed));
  options.seed_given = words.seed.has_value();
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

}  // namespace simvisor::server
