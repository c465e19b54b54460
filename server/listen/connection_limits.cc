#include "server/listen/connection_limits.h"

#include <sys/resource.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace simvisor::server {
namespace {

// For listeners, gRPC's own descriptors, migrations to other daemons, the log.
constexpr uint64_t kReservedDescriptors = 64;

}  // namespace

uint64_t RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kDefaultMaxConnections;
  const rlimit raised = {.rlim_cur = limit.rlim_max,
                         .rlim_max = limit.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return raised.rlim_cur;
  return limit.rlim_cur;
}

absl::StatusOr<uint32_t> MaxConnections(std::optional<uint32_t> wanted,
                                        uint64_t descriptors) {
  const uint64_t fit =
      descriptors - std::min(kReservedDescriptors, descriptors / 2);
  if (!wanted.has_value()) {
    return static_cast<uint32_t>(
        std::clamp<uint64_t>(fit, 1, kDefaultMaxConnections));
  }
  if (*wanted <= fit) return *wanted;
  return absl::InvalidArgumentError(absl::StrCat(
      "--max-connections: ", *wanted, " connections: a limit of ", descriptors,
      " open files leaves room for ", fit,
      "; raise the limit (ulimit -n), or allow fewer connections"));
}

}  // namespace simvisor::server
