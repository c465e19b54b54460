// The right to listen at a path, held by one process at a time.
//
// The right is an flock() of the file PATH.lock, which the system drops when
// the process ends in any way.  Whoever holds it may clear away the socket that
// a dead daemon left at PATH.
//
// Thread safety: one thread at a time per object.

#ifndef SIMVISOR_SERVER_SOCKET_GUARD_H_
#define SIMVISOR_SERVER_SOCKET_GUARD_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/unique_fd.h"

namespace simvisor::server {

class SocketGuard {
 public:
  // Takes the right to `path` and removes a dead socket there.
  //
  // ALREADY_EXISTS if another process holds the right or answers at `path`,
  // FAILED_PRECONDITION if something that is no socket is there (it is left
  // alone), and as the system says if the folder cannot be written.
  static absl::StatusOr<SocketGuard> Acquire(const std::string& path);

  SocketGuard(SocketGuard&&) = default;
  SocketGuard& operator=(SocketGuard&&) = delete;

  // Removes the socket and gives the right up.
  ~SocketGuard();

 private:
  SocketGuard(std::string path, UniqueFd lock);

  std::string path_;
  UniqueFd lock_;  // empty once moved from
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SOCKET_GUARD_H_
