#include "server/listen/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace simvisor::server {
namespace {

// flock() has no timeout.
constexpr absl::Duration kRetryEvery = absl::Milliseconds(5);

}  // namespace

absl::StatusOr<FolderLock> FolderLock::Take(const std::string& folder,
                                            absl::Duration patience) {
  UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) {
    return absl::ErrnoToStatus(errno,
                               absl::StrCat("cannot open the folder ", folder));
  }
  for (absl::Duration waited; flock(fd.get(), LOCK_EX | LOCK_NB) != 0;
       waited += kRetryEvery) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return absl::ErrnoToStatus(
          errno, absl::StrCat("cannot lock the folder ", folder));
    }
    if (waited >= patience) {
      return absl::UnavailableError(
          absl::StrCat("another process has locked the folder ", folder,
                       " for ", absl::FormatDuration(patience)));
    }
    absl::SleepFor(kRetryEvery);
  }
  return FolderLock(std::move(fd));
}

}  // namespace simvisor::server
