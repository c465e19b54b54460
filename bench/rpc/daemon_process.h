// A daemon of the bench's own, on a new unix socket in a temporary directory.
//
// It ends with the object, or, should this process be killed, with that.
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
  // Starts `program` for a machine of `host_memory`, as --host-memory takes it,
  // and waits for its ready line.  UNAVAILABLE if there is none.
  static absl::StatusOr<std::unique_ptr<DaemonProcess>> Start(
      const std::string& program, const std::string& host_memory);

  DaemonProcess(const DaemonProcess&) = delete;
  DaemonProcess& operator=(const DaemonProcess&) = delete;

  // Ends the daemon, reaps it and removes the directory.
  ~DaemonProcess();

  std::string address() const;
  pid_t pid() const { return pid_; }
  // As the ready line has it.
  const std::string& version() const { return version_; }
  // From before the process was made to its ready line.
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
  int stdout_ = -1;  // the end that is read, owned
  std::string version_;
  absl::Duration start_time_;
};

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_DAEMON_PROCESS_H_
