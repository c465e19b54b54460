#include "bench/rpc/resident_memory.h"

#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace simvisor::bench {

absl::StatusOr<double> ResidentBytes(pid_t pid) {
  const std::string path = absl::StrCat("/proc/", pid, "/statm");
  std::ifstream statm(path);
  double size = 0;
  double resident = 0;
  if (!(statm >> size >> resident)) {
    return absl::UnavailableError(absl::StrCat("cannot read ", path));
  }
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

}  // namespace simvisor::bench
