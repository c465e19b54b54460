#include "server/machine/events.h"

#include <spdlog/spdlog.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/machine/memory_reserve.h"

namespace simvisor::server {

std::string Named(absl::string_view name, DomainId id) {
  if (name.empty()) return absl::StrCat("domain ", id.value());
  return absl::StrCat(name, " (", id.value(), ")");
}

std::string PagesText(PageCount pages) {
  return absl::StrFormat("%.10g MiB (%d pages)",
                         static_cast<double>(pages.value()) / kPagesPerMiB,
                         pages.value());
}

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
  LogEvent([&] {
    return absl::StrCat(Named(domain.name(), domain.id()), ": ", text());
  });
}

}  // namespace simvisor::server
