// The connections that were passed on to an owner that does not report when it
// closes them.
//
// Each entry is a descriptor with the identity of its socket (the inode, which
// no two open sockets share), the name of its peer, and when its peer was last
// heard.  The identity shows whether the descriptor has been closed or reused
// for another file; so a count is exact after Prune(), and too high before it.
//
// If an allocation in Add() fails, the connection may not be counted, or not
// for its peer.
//
// Thread safety: one thread at a time.  Any thread may close the descriptors at
// any time.

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
  // Returns how many bytes the owner has read from a connection so far.
  using Taken = std::function<uint64_t(int fd)>;

  // Adds the open socket `fd`, heard `now`; replaces an entry with the same
  // number.
  void Add(int fd, const std::string& peer, Clock::Time now);

  // Removes the connections that have been closed.  Checks each of them.
  void Prune();

  size_t size() const { return entries_.size(); }
  size_t CountOf(const std::string& peer) const;

  // Listen() marks connections as heard `now` if the owner has read something
  // from them since the last call; HearAll() marks all of them.
  void Listen(const Taken& taken, Clock::Time now);
  void HearAll(Clock::Time now);

  // Shuts down a connection that has not been heard since `before`; its owner
  // then closes it.  Takes it from the peer with the most connections, or from
  // `peer` unless that is empty, and chooses the one that has been quiet
  // longest.
  //
  // False if no connection qualifies, or descriptors have run out.
  bool ShutDownQuiet(Clock::Time before, const std::string& peer);

 private:
  struct Entry {
    dev_t device;
    ino_t inode;
    std::string peer;
    Clock::Time heard;
    uint64_t taken = 0;  // at the last Listen()
    bool shut_down = false;
  };

  static bool IsOpen(int fd, const Entry& entry);
  void Uncount(const std::string& peer);
  // True if `a` is closed before `b`.
  bool GoesBefore(const Entry& a, const Entry& b) const;

  absl::flat_hash_map<int, Entry> entries_;
  // How many entries each peer has; never 0.
  absl::flat_hash_map<std::string, size_t> counts_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_SERVED_CONNECTIONS_H_
