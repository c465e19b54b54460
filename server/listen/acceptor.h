// Accepts connections from listening sockets and passes on those that speak
// HTTP/2.
//
// gRPC's own acceptor stops for good when descriptors run out, and keeps every
// connection.  This one keeps the number of connections below a bound and
// recovers from any shortage.
//
// A new connection stays here, silent, until it has sent the 24 bytes that
// HTTP/2 begins with; a client sends them at once.  A connection that sends
// something else, or nothing within the handshake timeout, is closed.  Silent
// connections and those passed on count together:
//
//   - At the bound, the oldest silent connection is closed to make room, but
//     not in its first second.  Without one, quiet connections are closed:
//     those that were passed on and have sent nothing for the idle timeout.
//     They have no call, since the peer of a call answers pings.  Until then,
//     new connections wait in the system's queue.
//   - A peer that has its share of the bound loses its own oldest silent
//     connection for a new one.  Without one, the new connection is closed, and
//     the peer's quiet connections are closed to make room for the next one.
//   - Without a free descriptor, or memory, new connections wait as well.
//
// A quiet connection is not closed while there is room: a client that has not
// noticed the end may lose its next call.  So traffic on the connections passed
// on is checked only while at least half of the bound is taken, once a second.
// Their owner counts the bytes: epoll would not report what the owner has read
// before this thread wakes up.
//
// One thread does all this.  It waits in epoll, and tries again after 20 ms
// when it has to wait for room: it never spins and never stops on its own.
//
// Thread safety: Start(), Stop() and the destructor are for one thread at a
// time; all other state belongs to the acceptor's own thread.

#ifndef SIMVISOR_SERVER_LISTEN_ACCEPTOR_H_
#define SIMVISOR_SERVER_LISTEN_ACCEPTOR_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/listen/connection_limits.h"
#include "server/listen/served_connections.h"
#include "server/listen/silent_connections.h"
#include "server/listen/unique_fd.h"
#include "server/threads/clock.h"

namespace simvisor::server {

class Acceptor {
 public:
  // Receives each connection that speaks HTTP/2, with nothing read from it, and
  // the socket that accepted it.  Called on the acceptor's thread.
  using Serve = std::function<void(UniqueFd connection, int listener)>;

  // Accepts from `listeners`, which are non-blocking and stay open until
  // Stop().  Calls `taken` on the acceptor's thread for connections that were
  // passed on.  Returns the system's error if it cannot create an epoll.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Start(
      std::vector<int> listeners, const ConnectionLimits& limits, Serve serve,
      ServedConnections::Taken taken);

  // Calls Stop().
  ~Acceptor();

  // Stops accepting, and closes the silent connections.  `serve` is not called
  // after that.
  void Stop();

 private:
  enum class Outcome { kAccepted, kNone, kNoRoom };

  Acceptor(std::vector<int> listeners, const ConnectionLimits& limits,
           Serve serve, ServedConnections::Taken taken, UniqueFd epoll,
           UniqueFd stop);

  // Makes epoll report `events` of `fd`; false if the system refuses.
  bool Watch(int fd, uint32_t events);

  void Run();
  // Returns false when the thread must stop.
  bool HandleEvents();
  int MillisecondsToWait() const;

  void AcceptFrom(int listener);
  Outcome AcceptOne(int listener);
  // True if the number of open connections has reached the bound.
  bool IsFull();
  // True if the oldest silent connection may be closed for a new one.
  bool HasSettledSilentOne() const;
  // Makes room within the share of `peer`; false if that is impossible.
  bool MakeRoomFor(const std::string& peer);
  void Keep(UniqueFd fd, int listener, std::string peer);
  // Reads what a silent connection has sent, and passes it on, keeps it or
  // closes it.
  void Examine(int fd);
  void PassOn(int fd);
  void CloseOverdue();

  // Finds out which connections passed on are quiet, if there are many.
  void ListenToServed();
  // Closes quiet connections of `peer`, or of any peer if that is empty: a few
  // per wait for room.
  void CloseQuiet(const std::string& peer);

  void Pause();
  void Resume();

  // Updates the count of open connections if it is stale.
  void Prune();
  size_t Count() const { return silent_.size() + served_.size(); }
  size_t CountOf(const std::string& peer) const;
  // Logs, but rarely enough that a flood does not fill the log.
  void Warn(absl::string_view text);

  // Constant after construction.
  const std::vector<int> listeners_;
  const ConnectionLimits limits_;
  const Serve serve_;
  const ServedConnections::Taken taken_;
  const UniqueFd epoll_;
  const UniqueFd stop_;  // an eventfd; readable when the thread must stop

  // Used only by the acceptor's thread.
  SilentConnections silent_;
  ServedConnections served_;
  // When to check the served connections next; max() if there are few.
  Clock::Time listen_at_ = Clock::Time::max();
  bool paused_ = false;
  Clock::Time paused_until_;
  Clock::Time pruned_at_;
  Clock::Time closed_quiet_at_;
  Clock::Time warned_at_;

  std::thread thread_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_ACCEPTOR_H_
