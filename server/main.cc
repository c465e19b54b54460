// simvisord: starts the machine, serves it, and drains on SIGTERM, SIGINT or
// SIGHUP.

#include <grpc/grpc.h>
#include <malloc.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "domain/host/host.h"
#include "domain/units/domain_identity.h"
#include "google/protobuf/stubs/logging.h"
#include "server/daemon.h"
#include "server/flags.h"
#include "server/host_config.h"
#include "server/listen/connection_limits.h"
#include "server/listen/default_address.h"
#include "server/listen/listen_address.h"
#include "server/listen/ready_line.h"
#include "server/logging.h"
#include "server/machine/events.h"
#include "server/machine/fault_injector.h"
#include "server/machine/machine.h"
#include "server/machine/memory_reserve.h"
#include "server/machine/mmu_waiter.h"
#include "server/start_hint.h"
#include "server/threads/clock.h"
#include "server/threads/stop_signals.h"

namespace simvisor::server {
namespace {

// How long calls may go on after the first signal.
constexpr absl::Duration kDrainGrace = absl::Seconds(5);
// How long the whole drain may take, including the end of cancelled calls and
// of the machine.
constexpr absl::Duration kDrainLimit = absl::Seconds(30);

// Keeps freed memory in the heap.  By default glibc maps each block of 128 KiB
// or more separately and unmaps it when freed, and the page faults cost more
// than filling a stream's chunk: with the three settings other than
// M_ARENA_MAX, 1.7 to 4.2 times the bandwidth was measured.  None of them takes
// memory by itself; the padding costs only address space until it is written.
// Memory that many guests leave behind is returned separately (heap_trim.h).
//
// Two arenas: with more, as by default, each thread's arena keeps the memory
// that messages left there, and a guest of 1 TiB that came in with 1 GiB of
// contents left another 69 MiB; with two arenas it was 32 MiB, at the same
// bandwidth.
void KeepHeap() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
  mallopt(M_TOP_PAD, 16 << 20);
}

// Turns off the lock graph of Abseil's deadlock detection, which Debian's build
// has on by default: it took up to 29 % of the time of a list, and all threads
// contend for its single lock.  The order of locks is documented next to them,
// and checked by clang's analysis and ThreadSanitizer.
void KeepNoLockGraph() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

// Silences protobuf: it would log each client message that it cannot parse.
void KeepProtobufQuiet() { google::protobuf::SetLogHandler(nullptr); }

absl::StatusOr<ConnectionLimits> LimitConnections(const Options& options) {
  ConnectionLimits limits;
  SIMVISOR_ASSIGN_OR_RETURN(
      limits.max_connections,
      MaxConnections(options.max_connections, RaiseDescriptorLimit()));
  limits.handshake_timeout = options.handshake_timeout;
  limits.idle_timeout = options.idle_timeout;
  return limits;
}

absl::StatusOr<std::unique_ptr<Daemon>> StartDaemon(const Options& options,
                                                    FaultInjector* faults,
                                                    MmuWaiter* waiter) {
  SIMVISOR_ASSIGN_OR_RETURN(const ConnectionLimits limits,
                            LimitConnections(options));
  std::vector<std::string> notes;
  SIMVISOR_ASSIGN_OR_RETURN(HostConfig config, MakeHostConfig(options, notes));
  for (const std::string& note : notes) {
    spdlog::warn("{}{}{}", options.host_e820_file,
                 options.host_e820_file.empty() ? "" : ": ", note);
  }
  config.faults = faults;
  config.waiter = waiter;
  std::vector<ListenAddress> listen = options.listen;
  if (listen.empty()) {
    SIMVISOR_ASSIGN_OR_RETURN(ListenAddress address, DefaultListenAddress());
    listen.push_back(std::move(address));
  }
  absl::StatusOr<std::unique_ptr<Host>> host = Host::Create(config);
  if (!host.ok()) {
    return absl::Status(
        host.status().code(),
        absl::StrCat("cannot power the machine on: ", host.status().message()));
  }
  MachineOptions machine;
  machine.faults = faults;
  machine.mmu_grace = options.mmu_grace;
  return Daemon::Start(std::make_unique<Machine>(*std::move(host), machine),
                       listen, limits, options.calls,
                       options.migration_targets);
}

// Warns if the daemon can be reached from elsewhere: it does not authenticate
// clients.
void WarnOfOpenAddresses(const std::vector<ListenAddress>& addresses) {
  for (const ListenAddress& address : addresses) {
    if (address.is_local()) continue;
    spdlog::warn("{}: anyone who can reach this address controls the machine",
                 address.ToString());
  }
}

void WarnOfFaults(const FaultInjector& faults) {
  if (!faults.enabled()) return;
  spdlog::warn(
      "--enable-fault-injection: any client can make calls fail, or kill the "
      "daemon");
}

// Tells a person what to type next; programs read the ready line.
void PrintHint(const std::string& program, const Options& options,
               const Daemon& daemon) {
  if (isatty(STDERR_FILENO) == 0) return;
  const std::string hint = StartHint(
      program,
      options.listen.empty() ? "" : daemon.addresses().front().ToString());
  std::fputs(hint.c_str(), stderr);
}

// The guests end with the machine.
void WarnOfLostDomains(const Host& host) {
  constexpr size_t kMostNamed = 20;
  constexpr size_t kMaxNameShown = 128;
  const std::vector<std::shared_ptr<Domain>> domains =
      host.List(DomainId(1), host.guest_count());
  if (domains.empty()) return;
  std::vector<std::string> names;
  names.reserve(domains.size());
  for (const std::shared_ptr<Domain>& domain : domains) {
    // So that the line fits the room that a pipe has when it says it has some.
    names.push_back(
        Shortened(DomainText(domain->name(), domain->id()), kMaxNameShown));
  }
  spdlog::warn("{} lost with this daemon: {}",
               names.size() == 1 ? "1 domain is"
                                 : absl::StrCat(names.size(), " domains are"),
               ListNames(names, kMostNamed));
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "simvisord: %s\n",
               std::string(status.message()).c_str());
  return 1;
}

int Serve(const std::string& program, const Options& options) {
  InitLogging(options.log_level);
  // Never shut down: the last grpc_shutdown() waits for gRPC's threads, one of
  // which sleeps for up to 10 s after a stream that had to wait.
  grpc_init();
  // These outlive the machine, which uses them to the end.
  FaultInjector faults(options.fault_injection, options.seed);
  MmuWaiter waiter(SystemClock(), &faults);
  absl::StatusOr<std::unique_ptr<Daemon>> daemon =
      StartDaemon(options, &faults, &waiter);
  if (!daemon.ok()) return Fail(daemon.status());
  const std::string line = ReadyLine(getpid(), (*daemon)->addresses());
  std::fputs(line.c_str(), stdout);
  std::fflush(stdout);
  WarnOfOpenAddresses((*daemon)->addresses());
  WarnOfFaults(faults);
  PrintHint(program, options, **daemon);
  const int signal_number = AwaitStopSignal();
  const DrainWatch watch(kDrainLimit);
  spdlog::info("{}: draining", strsignal(signal_number));
  (*daemon)->Drain(kDrainGrace);
  WarnOfLostDomains((*daemon)->machine().host());
  daemon->reset();
  spdlog::info("drained");
  return 0;
}

int Exit(const EarlyExit& exit) {
  std::fputs(exit.out.c_str(), stdout);
  std::fputs(exit.err.c_str(), stderr);
  return exit.code;
}

int Main(int argc, char** argv) {
  KeepHeap();
  MemoryReserve::Install();
  KeepNoLockGraph();
  KeepProtobufQuiet();
  BlockStopSignals();
  // If a reader of our output goes away, the daemon must not end.
  signal(SIGPIPE, SIG_IGN);
  const auto parsed =
      ParseFlags(std::vector<std::string>(argv + 1, argv + argc));
  if (const auto* exit = std::get_if<EarlyExit>(&parsed)) return Exit(*exit);
  return Serve(argv[0], std::get<Options>(parsed));
}

}  // namespace
}  // namespace simvisor::server

int main(int argc, char** argv) { return simvisor::server::Main(argc, argv); }
