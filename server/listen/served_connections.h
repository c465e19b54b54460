// The connections that have been passed on to an owner who does not say when it
// closes them.
//
// Each entry is a descriptor with the identity of its socket (the inode, which
// no two open sockets share), the name of its peer, and when its peer was last
// heard.  A descriptor that is closed, or that another file has taken since, is
// known by that; so a count is exact after Prune(), and too high before it.
//
// An allocation that fails in Add() leaves a connection that may not be
// counted, or not for its peer.
//
// Thread safety: one thread at a time.  The descriptors may be closed by any
// thread at any time.

#ifndef SIMVISOR_SERVER_LISTEN_SERVED_CONNECTIONS_H_
#define SIMVISOR_SERVER_LISTEN_SERVED_CONNECTIONS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "server/threads/clock.h"

namespace simvisor::server {

class ServedConnections {
 public:
  // Says how many bytes the owner has taken from a connection so far.
  using Taken = std::function<uint64_t(int fd)>;

  // Enters the open socket `fd`, heard `now`, in place of one that had the same
  // number.
  void Add(int fd, const std::string& peer, Clock::Time now);

  // Forgets the connections that have been closed.  Looks at each.
  void Prune();

  size_t size() const { return entries_.size(); }
  size_t CountOf(const std::string& peer) const;

  // Those from which something has been taken since the last time are heard
  // `now`.
  void Listen(const Taken& taken, Clock::Time now);
  void HearAll(Clock::Time now);

  // Shuts a connection down that has not been heard since `before`; its owner
  // then closes it.  Takes it from the peer that has most, or from `peer`
  // unless that is empty; the one that has been quiet for longest.
  //
  // False if there is none, or no descriptor to hold it by.
  bool ShutDownQuiet(Clock::Time before, const std::string& peer);

 private:
  struct Entry {
    dev_t device;
    ino_t inode;
    std::string peer;
    Clock::Time heard;
    uint64_t taken = 0;  // when Listen() looked last
    bool shut_down = false;
  };

  static bool IsOpen(int fd, const Entry& entry);
  void Uncount(const std::string& peer);
  // True if `a` is to go before `b`.
  bool GoesBefore(const Entry& a, const Entry& b) const;

  absl::flat_hash_map<int, Entry> entries_;
  // How many entries each peer has; none has 0.
  absl::flat_hash_map<std::string, size_t> counts_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_SERVED_CONNECTIONS_H_
