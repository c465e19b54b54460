#include "bench/rpc/daemon_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"

namespace simvisor::bench {
namespace {

constexpr absl::Duration kStartLimit = absl::Seconds(30);
// A daemon without calls drains at once.
constexpr absl::Duration kStopLimit = absl::Seconds(10);

// Waits until `fd` can be read, or has ended.
absl::Status AwaitReadable(int fd, absl::Time deadline) {
  pollfd waited = {.fd = fd, .events = POLLIN, .revents = 0};
  const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
  const int ready = poll(&waited, 1, left < 0 ? 0 : static_cast<int>(left));
  if (ready > 0) return absl::OkStatus();
  if (ready == 0) return absl::DeadlineExceededError("no ready line in time");
  return absl::ErrnoToStatus(errno, "poll");
}

// Turns this process into the daemon; for use between fork() and exec.
[[noreturn]] void Exec(char* const* arguments, int out, pid_t parent) {
  // An interrupt is for the bench only, which then ends the daemon.
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() == parent && dup2(out, STDOUT_FILENO) >= 0) {
    execv(arguments[0], arguments);
  }
  _exit(127);
}

}  // namespace

absl::StatusOr<std::unique_ptr<DaemonProcess>> DaemonProcess::Start(
    const std::string& program, const std::string& host_memory) {
  std::unique_ptr<DaemonProcess> daemon(new DaemonProcess());
  SIMVISOR_RETURN_IF_ERROR(daemon->MakeDirectory());
  const absl::Time began = absl::Now();
  SIMVISOR_RETURN_IF_ERROR(daemon->Launch(program, host_memory));
  SIMVISOR_RETURN_IF_ERROR(daemon->AwaitReady(program));
  daemon->start_time_ = absl::Now() - began;
  return daemon;
}

absl::Status DaemonProcess::MakeDirectory() {
  std::error_code error;
  const std::filesystem::path parent =
      std::filesystem::temp_directory_path(error);
  std::string name = (parent / "simvisor-bench-XXXXXX").string();
  if (error || mkdtemp(name.data()) == nullptr) {
    return absl::UnavailableError(absl::StrCat(
        "cannot make a temporary directory ", name, "; set TMPDIR"));
  }
  directory_ = name;
  return absl::OkStatus();
}

absl::Status DaemonProcess::Launch(const std::string& program,
                                   const std::string& host_memory) {
  std::array<int, 2> ends;
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "pipe2");
  }
  stdout_ = ends[0];
  std::vector<std::string> words = {program,         "--listen",  address(),
                                    "--host-memory", host_memory, "--log-level",
                                    "warn"};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) Exec(arguments.data(), ends[1], parent);
  close(ends[1]);
  return pid_ > 0 ? absl::OkStatus() : absl::ErrnoToStatus(errno, "fork");
}

absl::Status DaemonProcess::AwaitReady(const std::string& program) {
  const absl::Time deadline = absl::Now() + kStartLimit;
  std::string line;
  while (line.empty() || line.back() != '\n') {
    const absl::Status readable = AwaitReadable(stdout_, deadline);
    std::array<char, 4096> piece;
    const ssize_t got =
        readable.ok() ? read(stdout_, piece.data(), piece.size()) : 0;
    if (got <= 0) {
      return absl::UnavailableError(absl::StrCat(
          "cannot start ", program, ": ",
          readable.ok() ? "it ended, or never ran" : readable.message(),
          "; give its path by --simvisord"));
    }
    line.append(piece.data(), static_cast<size_t>(got));
  }
  return TakeReadyLine(line);
}

absl::Status DaemonProcess::TakeReadyLine(absl::string_view line) {
  const auto json =
      nlohmann::json::parse(line.begin(), line.end(), nullptr, false);
  if (!json.is_object() || !json.contains("ready")) {
    return absl::UnavailableError(
        absl::StrCat("simvisord: no ready line, but ", line));
  }
  version_ = json.value("version", "");
  return absl::OkStatus();
}

DaemonProcess::~DaemonProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGTERM);
    // Only the end of the output is still to come.
    if (!AwaitReadable(stdout_, absl::Now() + kStopLimit).ok()) {
      kill(pid_, SIGKILL);
    }
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (stdout_ >= 0) close(stdout_);
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

std::string DaemonProcess::address() const {
  return absl::StrCat("unix:", directory_, "/simvisor.sock");
}

}  // namespace simvisor::bench
