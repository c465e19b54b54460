// A file descriptor that is closed with its owner.
//
// Thread safety: one thread at a time per object.

#ifndef SIMVISOR_SERVER_LISTEN_UNIQUE_FD_H_
#define SIMVISOR_SERVER_LISTEN_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace simvisor::server {

class UniqueFd {
 public:
  // Owns nothing if `fd` is negative.
  explicit UniqueFd(int fd = -1) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&&) = delete;
  ~UniqueFd() {
    if (valid()) close(fd_);
  }

  bool valid() const { return fd_ >= 0; }
  int get() const { return fd_; }
  // Releases the descriptor to the caller, who must close it.
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_UNIQUE_FD_H_
