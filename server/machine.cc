#include "server/machine.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "domain/guest/dom0_map.h"
#include "domain/units/abi.h"
#include "domain/units/status_macros.h"
#include "server/guest_memory_limit.h"

namespace simvisor::server {
namespace {

constexpr PageCount kDom0Memory(4 * kPagesPerGiB);

absl::Status FileError(const std::string& path, int error) {
  return absl::ErrnoToStatus(error,
                             absl::StrCat("--host-e820: cannot read ", path));
}

// Text of a file, cut just above what a boot log may have.
absl::StatusOr<std::string> ReadBootLog(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      std::fopen(path.c_str(), "re"), &std::fclose);
  if (file == nullptr) return FileError(path, errno);
  std::string text(kMaxE820TextBytes + 1, '\0');
  errno = 0;
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) return FileError(path, errno);
  return text;
}

PageCount RamOf(const E820Map& e820) {
  PageCount ram;
  for (const PfnExtent& extent : e820.RamPages()) ram += extent.count;
  return ram;
}

// Sets the machine's map, and what dom0's kernel makes of it.
absl::Status ReadMap(const Options& options, HostConfig& config) {
  config.dom0_reserves_ibft = options.dom0_ibft.value_or(true);
  if (options.host_e820_file.empty()) {
    SIMVISOR_ASSIGN_OR_RETURN(config.e820,
                              DefaultHostE820(options.host_memory));
    return absl::OkStatus();
  }
  SIMVISOR_ASSIGN_OR_RETURN(const std::string text,
                            ReadBootLog(options.host_e820_file));
  absl::StatusOr<E820Map> map = E820Map::ParseBootLog(text);
  if (!map.ok()) {
    return absl::Status(map.status().code(),
                        absl::StrCat("--host-e820: ", options.host_e820_file,
                                     ": ", map.status().message()));
  }
  config.e820 = *std::move(map);
  config.dom0_reserves_ibft = options.dom0_ibft.value_or(ReservesIbft(text));
  return absl::OkStatus();
}

}  // namespace

PageCount DefaultDom0Memory(const E820Map& e820) {
  return std::min(kDom0Memory, PageCount(RamOf(e820).value() / 4));
}

absl::StatusOr<HostConfig> MakeHostConfig(const Options& options) {
  HostConfig config;
  SIMVISOR_RETURN_IF_ERROR(ReadMap(options, config));
  config.placement = options.placement;
  config.seed = options.seed;
  config.dom0_hotplug_limit_gib = options.dom0_hotplug_limit_gib;
  config.max_image_memory = options.max_image_memory.in_bytes();
  config.dom0_tools_view = options.dom0_tools_view;
  config.cpus = options.cpus;
  config.contents_limit =
      options.max_guest_memory.value_or(DefaultGuestMemory(ReadSystemMemory()));
  config.dom0_memory =
      options.dom0_memory.value_or(DefaultDom0Memory(config.e820));
  // As with Xen's dom0_mem without max: dom0 may grow to all there is.
  config.dom0_no_ceiling = !options.dom0_max_memory.has_value();
  config.dom0_max_memory = options.dom0_max_memory.value_or(
      std::min(RamOf(config.e820), kAbiX86_64.max_domain_pages()));
  return config;
}

}  // namespace simvisor::server
