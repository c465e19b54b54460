#include "server/machine/events.h"

#include <spdlog/spdlog.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/machine/memory_reserve.h"

namespace simvisor::server {

void LogEvent(absl::FunctionRef<std::string()> text) {
  if (!spdlog::should_log(spdlog::level::info)) return;
  UnlessExhausted([text] {
    const std::string line = text();
    // Not a format string: names may have braces.
    spdlog::default_logger_raw()->log(
        spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
    return absl::OkStatus();
  }).IgnoreError();
}

void LogEvent(const Domain& domain, absl::FunctionRef<std::string()> text) {
  LogEvent(
      [&] { return absl::StrCat(domain.identity().ToString(), ": ", text()); });
}

}  // namespace simvisor::server
