// How much all clients together make gRPC hold, computed from what comes in on
// each connection (inbound_frames.h) and from the streams that the daemon ends
// on it.
//
// Above a bound, the connection that holds most is shut down.  So a client that
// floods the daemon loses its own connections, and others keep theirs.  gRPC
// has its own bound, the quota, but above it gRPC first closes all connections
// without a call, and then ends calls at random.
//
// The bytes are seen where gRPC reads them from the socket and writes them to
// it: this program defines recvmsg() and sendmsg(), which call the system's and
// inspect what was transferred.  gRPC uses no other functions for sockets.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_SERVER_LISTEN_INBOUND_LEDGER_H_
#define SIMVISOR_SERVER_LISTEN_INBOUND_LEDGER_H_

#include <sys/socket.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "server/listen/http2_frames.h"
#include "server/listen/inbound_frames.h"

namespace simvisor::server {

class InboundLedger {
 public:
  // The ledger that the program's recvmsg() and sendmsg() report all traffic
  // to.
  static InboundLedger& OfProcess();

  InboundLedger() = default;
  InboundLedger(const InboundLedger&) = delete;
  InboundLedger& operator=(const InboundLedger&) = delete;

  // Sets the bound from now on; until then it is unlimited.
  void SetLimit(uint64_t bytes) ABSL_LOCKS_EXCLUDED(mu_);

  // Starts to follow the connection `fd`, before anything is read or sent on
  // it.  It may be closed at any time, and its number may be reused.
  void Add(int fd) ABSL_LOCKS_EXCLUDED(mu_);

  // The first `size` bytes of `message` have been read from `fd`.  False if the
  // caller must treat the connection as ended.
  bool Take(int fd, const msghdr& message, size_t size)
      ABSL_LOCKS_EXCLUDED(mu_);

  // The first `size` bytes of `message` have been sent on `fd`.
  void Sent(int fd, const msghdr& message, size_t size)
      ABSL_LOCKS_EXCLUDED(mu_);

  // How many bytes have been read from the connection `fd`; 0 if it is not
  // followed.
  uint64_t TakenFrom(int fd) const ABSL_LOCKS_EXCLUDED(mu_);

  uint64_t held() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return held_;
  }

 private:
  struct Connection {
    uint64_t cookie = 0;  // tells the socket from others with the same number
    uint64_t taken = 0;   // bytes
    InboundFrames frames;
    Http2Frames sent;
  };
  using Connections = absl::flat_hash_map<int, Connection>;

  // The connection `fd`, whose socket has this cookie; end() if it is not
  // followed.  Removes an entry with the same number and another cookie.
  Connections::iterator Find(int fd, uint64_t cookie)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Forget(Connections::iterator at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Removes the connections that are closed.
  void Prune() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Shuts down the connections that hold most, until the rest is within the
  // bound.
  void KeepLimit() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ShutDownLargest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Whether any connection is followed.
  std::atomic<bool> is_used_ = false;

  mutable absl::Mutex mu_;
  uint64_t limit_ ABSL_GUARDED_BY(mu_) = ~uint64_t{0};
  Connections connections_ ABSL_GUARDED_BY(mu_);
  uint64_t held_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_INBOUND_LEDGER_H_
