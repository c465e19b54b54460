// New connections that have not yet sent what HTTP/2 begins with.
//
// They are kept in the order in which they came, so that the oldest is closed
// first when room is needed.
//
// If an allocation in Add() fails, the connection may not be found by its
// descriptor or counted for its peer; it is closed when it is the oldest.
//
// Thread safety: one thread at a time.

#ifndef SIMVISOR_SERVER_LISTEN_SILENT_CONNECTIONS_H_
#define SIMVISOR_SERVER_LISTEN_SILENT_CONNECTIONS_H_

#include <cassert>
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
    int listener;  // the socket that accepted it
    std::string peer;
    Clock::Time since;
  };

  // REQUIRES: `connection` came no earlier than those before it.
  void Add(Connection connection);

  bool empty() const { return order_.empty(); }
  size_t size() const { return order_.size(); }
  bool Contains(int fd) const { return by_fd_.contains(fd); }
  size_t CountOf(const std::string& peer) const;

  // When the oldest one came.
  // REQUIRES: !empty().
  Clock::Time OldestSince() const {
    assert(!empty());
    return order_.front().since;
  }

  // Removes a connection and returns it.
  // REQUIRES: Contains(fd).
  Connection Take(int fd);

  // Closes the oldest one.
  // REQUIRES: !empty().
  void CloseOldest();

  // Closes the oldest one of `peer`; false if it has none.
  bool CloseOldestOf(const std::string& peer);

 private:
  using Place = std::list<Connection>::iterator;

  Connection TakeAt(Place place);

  std::list<Connection> order_;  // the oldest first
  absl::flat_hash_map<int, Place> by_fd_;
  // How many each peer has; never 0.
  absl::flat_hash_map<std::string, size_t> counts_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_SILENT_CONNECTIONS_H_
