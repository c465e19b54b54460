#include "server/listen/served_connections.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "server/listen/unique_fd.h"

namespace simvisor::server {

void ServedConnections::Add(int fd, const std::string& peer, Clock::Time now) {
  struct stat info;
  if (fstat(fd, &info) != 0) return;
  const auto old = entries_.find(fd);
  if (old != entries_.end()) {
    Uncount(old->second.peer);
    entries_.erase(old);
  }
  entries_.emplace(fd, Entry{.device = info.st_dev,
                             .inode = info.st_ino,
                             .peer = peer,
                             .heard = now});
  ++counts_[peer];
}

void ServedConnections::Prune() {
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto current = it++;
    if (IsOpen(current->first, current->second)) continue;
    Uncount(current->second.peer);
    entries_.erase(current);
  }
}

size_t ServedConnections::CountOf(const std::string& peer) const {
  const auto count = counts_.find(peer);
  return count == counts_.end() ? 0 : count->second;
}

void ServedConnections::Listen(const Taken& taken, Clock::Time now) {
  for (auto& [fd, entry] : entries_) {
    const uint64_t bytes = taken(fd);
    if (bytes != entry.taken) entry.heard = now;
    entry.taken = bytes;
  }
}

void ServedConnections::HearAll(Clock::Time now) {
  for (auto& [fd, entry] : entries_) entry.heard = now;
}

bool ServedConnections::ShutDownQuiet(Clock::Time before,
                                      const std::string& peer) {
  auto chosen = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    const Entry& entry = it->second;
    if (entry.shut_down || entry.heard >= before) continue;
    if (!peer.empty() && entry.peer != peer) continue;
    if (chosen == entries_.end() || GoesBefore(entry, chosen->second)) {
      chosen = it;
    }
  }
  if (chosen == entries_.end()) return false;
  // Use a duplicate descriptor: the owner may close its own at any moment, and
  // another file may get the number.
  const UniqueFd held(fcntl(chosen->first, F_DUPFD_CLOEXEC, 0));
  if (!held.valid() || !IsOpen(held.get(), chosen->second)) return false;
  chosen->second.shut_down = true;
  return shutdown(held.get(), SHUT_RDWR) == 0;
}

bool ServedConnections::IsOpen(int fd, const Entry& entry) {
  struct stat info;
  return fstat(fd, &info) == 0 && info.st_dev == entry.device &&
         info.st_ino == entry.inode;
}

void ServedConnections::Uncount(const std::string& peer) {
  const auto count = counts_.find(peer);
  // Missing if there was no memory to count it.
  if (count != counts_.end() && --count->second == 0) counts_.erase(count);
}

bool ServedConnections::GoesBefore(const Entry& a, const Entry& b) const {
  const size_t a_count = CountOf(a.peer);
  const size_t b_count = CountOf(b.peer);
  return a_count != b_count ? a_count > b_count : a.heard < b.heard;
}

}  // namespace simvisor::server
