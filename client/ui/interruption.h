// Lets a command finish what it must when a signal asks the program to end.
//
// While an Interruption exists, SIGHUP, SIGINT, SIGPIPE and SIGTERM do not end
// the program: the command asks signal() and brings its work to an end.  Its
// destructor then ends the program by that signal, so that a shell sees which
// one it was.  Later signals change nothing, except a SIGINT that comes a
// second or more after the first signal, and SIGQUIT: those end the program at
// once.  A signal that was ignored when the program started (nohup) stays
// ignored.
//
// Thread safety: thread-compatible, with at most one in a process; signals may
// arrive on any thread.

#ifndef SIMVISOR_CLIENT_UI_INTERRUPTION_H_
#define SIMVISOR_CLIENT_UI_INTERRUPTION_H_

#include "absl/time/time.h"

namespace simvisor::client {

class Interruption {
 public:
  Interruption();
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
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_INTERRUPTION_H_
