// A daemon started by the bench, on a new unix socket in a temporary directory.
//
// The daemon ends with the object, or with this process if that is killed.
//
// Thread safety: one thread at a time per object.  Start() must be called by a
// thread that lives as long as the object.

#ifndef SIMVISOR_BENCH_RPC_DAEMON_PROCESS_H_
#define SIMVISOR_BENCH_RPC_DAEMON_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace simvisor::bench {

class DaemonProcess {
 public:
  // Starts `program` for a machine of `host_memory`, in the syntax of
  // --host-memory, and waits for its ready line.  UNAVAILABLE if the line does
  // not come.
  static absl::StatusOr<std::unique_ptr<DaemonProcess>> Start(
      const std::string& program, const std::string& host_memory);

  DaemonProcess(const DaemonProcess&) = delete;
  DaemonProcess& operator=(const DaemonProcess&) = delete;

  // Ends the daemon, reaps it and removes the directory.
  ~DaemonProcess();

  std::string address() const;
  pid_t pid() const { return pid_; }
  // From the ready line.
  const std::string& version() const { return version_; }
  // The time from before the fork to the ready line.
  absl::Duration start_time() const { return start_time_; }

 private:
  DaemonProcess() = default;

  absl::Status MakeDirectory();
  absl::Status Launch(const std::string& program,
                      const std::string& host_memory);
  absl::Status AwaitReady(const std::string& program);
  absl::Status TakeReadyLine(absl::string_view line);

  std::string directory_;
  pid_t pid_ = -1;
  int stdout_ = -1;  // the read end of the pipe, owned
  std::string version_;
  absl::Duration start_time_;
};

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_DAEMON_PROCESS_H_
