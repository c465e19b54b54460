// Removes an unfinished file when a signal ends the program.
//
// SIGHUP, SIGINT, SIGPIPE, SIGQUIT and SIGTERM end the program as they do
// without a guard, but first they remove the temporary name of the file, and
// they do not interrupt a few steps that belong together.  A signal that was
// ignored when the program started (nohup) stays ignored.
//
// Thread safety: thread-compatible, with at most one guard in a process;
// signals may arrive on any thread.

#ifndef SIMVISOR_CLIENT_UI_EXIT_GUARD_H_
#define SIMVISOR_CLIENT_UI_EXIT_GUARD_H_

#include <string>

namespace simvisor::client {

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

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_EXIT_GUARD_H_
