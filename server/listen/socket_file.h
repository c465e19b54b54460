// The file that leads to a listening unix socket.
//
// Connecting to a path shows whether a process listens there; a process that
// has ended in any way no longer listens.  Checking the path, removing a dead
// socket and listening are one step under the lock of the folder
// (folder_lock.h), so only one of two daemons that start at the same time gets
// the path.  No other file is made or touched.
//
// Thread safety: one thread at a time per object.

#ifndef SIMVISOR_SERVER_LISTEN_SOCKET_FILE_H_
#define SIMVISOR_SERVER_LISTEN_SOCKET_FILE_H_

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"

namespace simvisor::server {

class SocketFile {
 public:
  // Makes the new unix socket `fd` listen at `path`, an absolute path that fits
  // into a socket's address, with mode 0600.  Replaces a dead socket there.
  // `fd` must stay open until the file is removed.
  //
  // ALREADY_EXISTS if a process listens at `path`; FAILED_PRECONDITION if it is
  // not a socket (it is not touched); UNAVAILABLE if the folder stays locked;
  // otherwise the system's error.
  static absl::StatusOr<SocketFile> Listen(int fd, const std::string& path,
                                           int backlog);

  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&&) = delete;

  // Removes the file, unless another file has replaced it.
  ~SocketFile();

  // True iff `path` leads to this file, under any name.
  bool IsAt(const std::string& path) const;

 private:
  SocketFile(std::string path, dev_t device, ino_t inode);

  std::string path_;  // empty once moved from
  // The inode is not reused while the socket is open, so it shows whether the
  // file is still the one made here.
  dev_t device_;
  ino_t inode_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_SOCKET_FILE_H_
