// What happens when a signal asks the program to end, but there is something to
// do first: a file must be removed (ExitGuard), or a command must bring its
// work to an end (Interruption).
//
// The signals are SIGHUP, SIGINT, SIGPIPE, SIGQUIT and SIGTERM.  In the end
// they end the program as they do without these classes, by the signal itself,
// so that a shell sees which one it was.  A signal that was ignored when the
// program started (nohup) stays ignored.
//
// One guard and one interruption may exist at the same time, and may go in any
// order: whichever lets the program end, the guard's file is removed.
//
// Thread safety: thread-compatible, with at most one object of each class in a
// process; signals may arrive on any thread.

#ifndef SIMVISOR_CLIENT_UI_EXIT_SIGNALS_H_
#define SIMVISOR_CLIENT_UI_EXIT_SIGNALS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace simvisor::client {

// Removes the temporary name of an unfinished file before a signal ends the
// program, and lets no signal interrupt a few steps that belong together.
class ExitGuard {
 public:
  ExitGuard();
  // Ends the program now if HoldOff() kept a signal waiting.
  ~ExitGuard();
  ExitGuard(const ExitGuard&) = delete;
  ExitGuard& operator=(const ExitGuard&) = delete;

  // From now on, a signal removes `name` in `folder`, an open folder that must
  // outlive the guard.
  void Remove(int folder, const std::string& name);
  // From now on, a signal waits until the guard is destroyed, and removes
  // nothing.
  void HoldOff();
};

// Lets a command finish what it must.
//
// While it exists, signals do not end the program: the command asks signal()
// and brings its work to an end.  Its destructor then ends the program by that
// signal.  Later signals change nothing, except a SIGINT that comes a second or
// more after the first signal, and SIGQUIT at any time: those end the program
// at once.
class Interruption {
 public:
  // Nanoseconds of a clock that never goes back.  Called by signal handlers.
  using Clock = int64_t (*)();

  // `clock` is the system's unless a test gives another.
  explicit Interruption(Clock clock = nullptr);
  // Ends the program if a signal has come.
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  // The first signal that came; 0 if none has.
  int signal() const;
  // How long ago it came; zero if none has.
  absl::Duration age() const;

  // Waits for `time`; returns at most 50 ms after a signal, and before `time`
  // has passed only if one has come.
  void Wait(absl::Duration time) const;

  // Waits until `fd` can be read from, or up to 4096 bytes can be written to
  // it, without waiting; a broken or closed one counts.  False at most 50 ms
  // after a signal.
  bool AwaitReadable(int fd) const;
  bool AwaitWritable(int fd) const;
};

// CANCELLED: what a command fails with that a signal has ended.
absl::Status InterruptedError();

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_EXIT_SIGNALS_H_
