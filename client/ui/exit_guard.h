// What a signal that ends the program does to a file that is not whole.
//
// SIGHUP, SIGINT, SIGPIPE, SIGQUIT and SIGTERM end the program as they would
// without a guard, but a file that has a name for now goes first, and a few
// steps that belong together are not cut in two.  A signal that the program was
// started to ignore (nohup) stays ignored.
//
// Thread safety: thread-compatible, with one guard at a time in the process;
// signals may come to any thread.

#ifndef SIMVISOR_CLIENT_UI_EXIT_GUARD_H_
#define SIMVISOR_CLIENT_UI_EXIT_GUARD_H_

#include <string>

namespace simvisor::client {

class ExitGuard {
 public:
  ExitGuard();
  // Ends the program now if a signal was held off.
  ~ExitGuard();
  ExitGuard(const ExitGuard&) = delete;
  ExitGuard& operator=(const ExitGuard&) = delete;

  // From now on a signal removes `name` in `folder`, an open folder that must
  // outlive the guard.
  void Remove(int folder, const std::string& name);
  // From now on a signal waits until the guard is gone, and removes nothing.
  void HoldOff();
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_EXIT_GUARD_H_
