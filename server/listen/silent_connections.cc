#include "server/listen/silent_connections.h"

#include <cassert>
#include <iterator>
#include <utility>

namespace simvisor::server {

void SilentConnections::Add(Connection connection) {
  assert(order_.empty() || order_.back().since <= connection.since);
  order_.push_back(std::move(connection));
  const Connection& added = order_.back();
  by_fd_.emplace(added.fd.get(), std::prev(order_.end()));
  ++counts_[added.peer];
}

size_t SilentConnections::CountOf(const std::string& peer) const {
  const auto count = counts_.find(peer);
  return count == counts_.end() ? 0 : count->second;
}

SilentConnections::Connection SilentConnections::Take(int fd) {
  return TakeAt(by_fd_.at(fd));
}

void SilentConnections::CloseOldest() {
  assert(!empty());
  TakeAt(order_.begin());
}

bool SilentConnections::CloseOldestOf(const std::string& peer) {
  if (CountOf(peer) == 0) return false;
  for (Place it = order_.begin(); it != order_.end(); ++it) {
    if (it->peer != peer) continue;
    TakeAt(it);
    return true;
  }
  return false;
}

SilentConnections::Connection SilentConnections::TakeAt(Place place) {
  Connection connection = std::move(*place);
  by_fd_.erase(connection.fd.get());
  order_.erase(place);
  const auto count = counts_.find(connection.peer);
  if (count != counts_.end() && --count->second == 0) counts_.erase(count);
  return connection;
}

}  // namespace simvisor::server
