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

#ifndef SIMVISOR_SERVER_SERVED_CONNECTIONS_H_
#define SIMVISOR_SERVER_SERVED_CONNECTIONS_H_

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/clock.h"

namespace simvisor::server {

class ServedConnections {
 public:
  // Enters the open socket `fd`, heard `now`, in place of one that had the same
  // number.
  void Add(int fd, const std::string& peer, Clock::Time now);

  // Forgets the connections that have been closed.  Looks at each.
  void Prune();

  size_t size() const { return entries_.size(); }
  bool Contains(int fd) const { return entries_.contains(fd); }
  size_t CountOf(const std::string& peer) const;
  std::vector<int> Descriptors() const;

  // REQUIRES: Contains(fd).
  void Hear(int fd, Clock::Time now) { entries_.at(fd).heard = now; }
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

#endif  // SIMVISOR_SERVER_SERVED_CONNECTIONS_H_
