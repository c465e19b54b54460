// The file by which a listening unix socket is found.
//
// Who listens at a path is told by connecting to it, since a process that ends
// in any way listens no more.  Looking, clearing a dead socket away and
// listening are one step under the lock of the folder (folder_lock.h), so of
// two daemons that start at once one gets the path.  No other file is made or
// touched.
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
  // Has the new unix socket `fd` listen at `path`, an absolute path that fits a
  // socket's address, with mode 0600.  Replaces a socket there at which no
  // process listens.  `fd` must stay open until the file is gone.
  //
  // ALREADY_EXISTS if a process listens at `path`, FAILED_PRECONDITION if
  // something that is no socket is there (it is left alone), UNAVAILABLE if the
  // folder stays locked, and as the system says otherwise.
  static absl::StatusOr<SocketFile> Listen(int fd, const std::string& path,
                                           int backlog);

  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&&) = delete;

  // Removes the file, unless another one has taken its place.
  ~SocketFile();

  // True iff `path` leads to this file, by whatever name.
  bool IsAt(const std::string& path) const;

 private:
  SocketFile(std::string path, dev_t device, ino_t inode);

  std::string path_;  // empty once moved from
  // The inode is not used again while the socket is open, so it tells whether
  // the file is still the one that was made here.
  dev_t device_;
  ino_t inode_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_SOCKET_FILE_H_
