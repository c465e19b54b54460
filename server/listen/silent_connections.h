// New connections that have not yet sent what HTTP/2 begins with.
//
// They stand in the order in which they came, so that the oldest goes first
// when room is needed.
//
// An allocation that fails in Add() leaves a connection that may not be
// found by its descriptor or counted for its peer; it goes when it is the
// oldest.
//
// Thread safety: one thread at a time.

#ifndef SIMVISOR_SERVER_LISTEN_SILENT_CONNECTIONS_H_
#define SIMVISOR_SERVER_LISTEN_SILENT_CONNECTIONS_H_

#include <cstddef>
#include <list>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "server/listen/unique_fd.h"
#include "server/threads/clock.h"

namespace simvisor::server {

class SilentConnections {
 public:
  struct Connection {
    UniqueFd fd;
    int listener;  // the socket that it came to
    std::string peer;
    Clock::Time since;
  };

  // REQUIRES: `connection` came no earlier than those before it.
  void Add(Connection connection);

  bool empty() const { return order_.empty(); }
  size_t size() const { return order_.size(); }
  bool Contains(int fd) const { return by_fd_.contains(fd); }
  size_t CountOf(const std::string& peer) const;

  // When the oldest came.  REQUIRES: !empty().
  Clock::Time OldestSince() const { return order_.front().since; }

  // Takes a connection out.  REQUIRES: Contains(fd).
  Connection Take(int fd);

  // Closes the oldest.  REQUIRES: !empty().
  void CloseOldest();

  // Closes the oldest of `peer`; false if it has none.
  bool CloseOldestOf(const std::string& peer);

 private:
  using Place = std::list<Connection>::iterator;

  Connection TakeAt(Place place);

  std::list<Connection> order_;  // the oldest first
  absl::flat_hash_map<int, Place> by_fd_;
  // How many each peer has; none has 0.
  absl::flat_hash_map<std::string, size_t> counts_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_SILENT_CONNECTIONS_H_
