// The right to change which sockets a folder holds.
//
// It is an flock() of the folder itself, which needs no file and which the
// system drops however the process ends.  Two daemons that start at the same
// time take turns; each holds the lock only while it checks a path and listens
// there.
//
// Thread safety: one thread at a time per object; threads of one process
// exclude each other like processes.

#ifndef SIMVISOR_SERVER_LISTEN_FOLDER_LOCK_H_
#define SIMVISOR_SERVER_LISTEN_FOLDER_LOCK_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/listen/unique_fd.h"

namespace simvisor::server {

class FolderLock {
 public:
  // Waits up to `patience` for the lock of `folder`.
  //
  // UNAVAILABLE if another process keeps it that long; otherwise the system's
  // error for the folder.
  static absl::StatusOr<FolderLock> Take(const std::string& folder,
                                         absl::Duration patience);

 private:
  explicit FolderLock(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;  // closing it unlocks
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_FOLDER_LOCK_H_
