// Takes connections from listening sockets and passes on those that speak
// HTTP/2.
//
// gRPC's own acceptor stops for good when descriptors run out, and keeps
// whoever connects.  This one keeps connections below a bound and comes back
// from any shortage.
//
// A connection is kept here, silent, until it has sent the 24 bytes that HTTP/2
// begins with; a client sends them at once.  One that sends something else, or
// nothing within the handshake timeout, is closed.  The silent ones and those
// passed on count together:
//
//  - At the bound, the oldest silent connection goes to make room, but not in
//    its first second.  If there is none, quiet ones go: those passed on from
//    which nothing has come for the idle timeout, and which therefore have no
//    call, since the peer of a call answers pings.  Until then, new connections
//    wait in the system's queue.
//  - A peer that has its share of the bound loses its own oldest silent
//    connection for a new one.  If it has none, the new one is closed, and
//    quiet ones of its own for the next.
//  - Without a free descriptor, or memory, new connections wait as well.
//
// Nothing is closed for being quiet while there is room: a client that has not
// noticed the end may lose its next call.  So what comes from the connections
// passed on is looked at only while half of the bound is taken, once a second.
// Their owner counts it: epoll would not report what the owner has read before
// this thread wakes up.
//
// One thread does all this.  It waits in epoll, and looks again after 20 ms
// when it has to wait for room: it never spins and never stops by itself.
//
// Thread safety: Start(), Stop() and the destructor are for one thread at a
// time; everything between belongs to the acceptor's own thread.

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
  // Gets each connection that speaks HTTP/2, with nothing read from it, and the
  // socket that it came to.  Called on the acceptor's thread.
  using Serve = std::function<void(UniqueFd connection, int listener)>;

  // Accepts from `listeners`, which are non-blocking and stay open until
  // Stop(). Asks `taken` on the acceptor's thread about connections that have
  // been served.  Fails as the system says if it gives no epoll.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Start(
      std::vector<int> listeners, const ConnectionLimits& limits, Serve serve,
      ServedConnections::Taken taken);

  // As Stop().
  ~Acceptor();

  // Accepts no more, and closes the silent connections.  `serve` is not called
  // after that.
  void Stop();

 private:
  enum class Outcome { kAccepted, kNone, kNoRoom };

  Acceptor(std::vector<int> listeners, const ConnectionLimits& limits,
           Serve serve, ServedConnections::Taken taken, UniqueFd epoll,
           UniqueFd stop);

  // Has epoll report `events` of `fd`; false if the system refuses.
  bool Watch(int fd, uint32_t events);

  void Run();
  // False when it is to stop.
  bool HandleEvents();
  int MillisecondsToWait() const;

  void AcceptFrom(int listener);
  Outcome AcceptOne(int listener);
  // True if as many connections are open as may be.
  bool IsFull();
  // True if the oldest silent connection may go for a new one.
  bool HasSettledSilentOne() const;
  // Makes room within the share of `peer`; false if there is none.
  bool MakeRoomFor(const std::string& peer);
  void Keep(UniqueFd fd, int listener, std::string peer);
  // What has come in on a silent connection decides what becomes of it.
  void Examine(int fd);
  void PassOn(int fd);
  void CloseOverdue();

  // Finds out which connections passed on are quiet, if they are many.
  void ListenToServed();
  // Closes quiet connections of `peer`, or of any if that is empty: a few in
  // each wait for room.
  void CloseQuiet(const std::string& peer);

  void Pause();
  void Resume();

  // Brings the count of open connections up to date, if that is some time ago.
  void Prune();
  size_t Count() const { return silent_.size() + served_.size(); }
  size_t CountOf(const std::string& peer) const;
  // Logs, but not so often that a flood fills the log.
  void Warn(absl::string_view text);

  // Constant after construction.
  const std::vector<int> listeners_;
  const ConnectionLimits limits_;
  const Serve serve_;
  const ServedConnections::Taken taken_;
  const UniqueFd epoll_;
  const UniqueFd stop_;  // an eventfd; readable when it is to stop

  // The thread's own.
  SilentConnections silent_;
  ServedConnections served_;
  // When to listen to them again; max() if they are few.
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
