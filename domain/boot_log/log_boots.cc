#include "domain/boot_log/log_boots.h"

#include <algorithm>
#include <iterator>

#include "domain/boot_log/log_text.h"

namespace simvisor {

bool LogBoots::BeginsAt(absl::string_view line) const {
  const LogBoot& boot = boots_.back();
  if (IsXenBanner(line)) {
    return !boot.ibft.has_dom0_map() || boot.ibft.has_hypervisor();
  }
  return IsKernelBanner(line) && boot.kernel;
}

void LogBoots::Add(size_t number, absl::string_view line) {
  if (BeginsAt(line)) {
    boots_.emplace_back();
    boots_.back().first_line = number;
  }
  LogBoot& boot = boots_.back();
  boot.kernel = boot.kernel || IsKernelBanner(line);
  boot.dom0.Add(line);
  boot.words.Add(line);
  boot.ibft.Add(line);
}

const LogBoot& LogBoots::Of(size_t number) const {
  const auto after = std::upper_bound(
      boots_.begin(), boots_.end(), number,
      [](size_t line, const LogBoot& boot) { return line < boot.first_line; });
  return *std::prev(after);
}

}  // namespace simvisor
