#include "server/host_config.h"

#include <cerrno>
#include <cstdio>
#include <memory>
#include <random>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "domain/boot_log/boot_log.h"
#include "domain/host/dom0_memory.h"
#include "server/machine/guest_memory_limit.h"

namespace simvisor::server {
namespace {

absl::Status FileError(const std::string& path, int error) {
  return absl::ErrnoToStatus(error,
                             absl::StrCat("--host-e820: cannot read ", path));
}

// Text of a file, cut just above the largest size of a boot log.
absl::StatusOr<std::string> ReadBootLogFile(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      std::fopen(path.c_str(), "re"), &std::fclose);
  if (file == nullptr) return FileError(path, errno);
  std::string text(kMaxBootLogBytes + 1, '\0');
  errno = 0;
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) return FileError(path, errno);
  return text;
}

// What a text without a map is, as far as that is known.
absl::string_view WhatElse(absl::string_view text) {
  if (text.empty()) return "it is empty; ";
  return absl::StartsWith(text, "Xen saved domain") ? "it is a save image; "
                                                    : "";
}

// The machine as a boot log; without a log file, one that has only a map.
absl::StatusOr<BootLog> ReadMachine(const Options& options) {
  BootLog log;
  if (options.host_e820_file.empty()) {
    SIMVISOR_ASSIGN_OR_RETURN(log.map, DefaultHostE820(options.host_memory));
    return log;
  }
  SIMVISOR_ASSIGN_OR_RETURN(const std::string text,
                            ReadBootLogFile(options.host_e820_file));
  absl::StatusOr<BootLog> read = ReadBootLog(text);
  if (read.ok()) return read;
  return absl::Status(
      read.status().code(),
      absl::StrCat("--host-e820: ", options.host_e820_file, ": ",
                   WhatElse(text), read.status().message()));
}

// Different in each daemon.
uint64_t RandomSeed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace

absl::StatusOr<HostConfig> MakeHostConfig(const Options& options,
                                          std::vector<std::string>& notes) {
  HostConfig config;
  SIMVISOR_ASSIGN_OR_RETURN(BootLog machine, ReadMachine(options));
  Dom0Memory dom0 =
      ChooseDom0Memory(machine, options.dom0_memory, options.dom0_max_memory);
  notes.insert(notes.end(), machine.notes.begin(), machine.notes.end());
  notes.insert(notes.end(), dom0.notes.begin(), dom0.notes.end());
  config.dom0_reserves_ibft =
      options.dom0_ibft.value_or(machine.dom0_reserves_ibft);
  config.e820 = std::move(dom0.machine);
  config.dom0_e820 = std::move(machine.map);
  config.placement = options.placement;
  config.seed = options.seed;
  if (!options.seed_given) config.uuid_seed = RandomSeed();
  config.dom0_hotplug_limit_gib = options.dom0_hotplug_limit_gib;
  config.max_image_memory = options.max_image_memory.in_bytes();
  config.dom0_tools_view = options.dom0_tools_view;
  config.cpus = options.cpus;
  config.contents_limit =
      options.max_guest_memory.value_or(DefaultGuestMemory(ReadSystemMemory()));
  config.dom0_memory = dom0.memory;
  config.dom0_max_memory = dom0.max_memory;
  config.dom0_no_ceiling = dom0.no_ceiling;
  return config;
}

}  // namespace simvisor::server
