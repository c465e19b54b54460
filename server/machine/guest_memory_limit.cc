#include "server/machine/guest_memory_limit.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace simvisor::server {
namespace {

constexpr uint64_t kUnlimited = SystemMemory::kUnlimited;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

uint64_t LimitOf(int resource) {
  rlimit limit = {};
  if (getrlimit(resource, &limit) != 0) return kUnlimited;
  return limit.rlim_cur == RLIM_INFINITY ? kUnlimited : limit.rlim_cur;
}

// The least limit of a group and its ancestors.
uint64_t LeastMax(const std::string& root, std::string group,
                  const char* file) {
  uint64_t least = kUnlimited;
  while (true) {
    const std::string text = ReadFile(absl::StrCat(root, group, "/", file));
    if (!text.empty()) least = std::min(least, ParseMemoryMax(text));
    if (group.empty()) return least;
    group.resize(std::min(group.size(), group.rfind('/')));
  }
}

uint64_t CgroupMax() {
  uint64_t least = kUnlimited;
  const std::string groups = ReadFile("/proc/self/cgroup");
  for (const absl::string_view line : absl::StrSplit(groups, '\n')) {
    // ID:CONTROLLERS:PATH; version 2 leaves CONTROLLERS empty.
    const std::vector<std::string> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const std::string group = parts[2] == "/" ? "" : parts[2];
    if (parts[1].empty()) {
      least = std::min(least, LeastMax("/sys/fs/cgroup", group, "memory.max"));
    } else if (parts[1] == "memory") {
      least = std::min(least, LeastMax("/sys/fs/cgroup/memory", group,
                                       "memory.limit_in_bytes"));
    }
  }
  return least;
}

}  // namespace

uint64_t ParseMemoryMax(absl::string_view text) {
  uint64_t bytes = 0;
  return absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &bytes)
             ? bytes
             : kUnlimited;
}

PageCount DefaultGuestMemory(const SystemMemory& system) {
  const uint64_t bytes = std::min({system.ram / 2, system.cgroup / 2,
                                   system.data / 2, system.address_space / 4});
  return PageCount(std::max<uint64_t>(bytes / kPageSize, 1));
}

SystemMemory ReadSystemMemory() {
  SystemMemory system;
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  if (pages > 0 && page_bytes > 0) {
    system.ram = static_cast<uint64_t>(pages) * page_bytes;
  }
  system.cgroup = CgroupMax();
  system.data = LimitOf(RLIMIT_DATA);
  system.address_space = LimitOf(RLIMIT_AS);
  return system;
}

}  // namespace simvisor::server
