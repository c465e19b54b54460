// A machine and the gRPC server that gives access to it.
//
// Thread safety: the methods are for one thread; the server has its own.

#ifndef SIMVISOR_SERVER_DAEMON_H_
#define SIMVISOR_SERVER_DAEMON_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/calls/call_runner.h"
#include "server/domains/domain_service.h"
#include "server/faults/fault_service.h"
#include "server/guests/address_space_service.h"
#include "server/guests/guest_load_service.h"
#include "server/host/host_service.h"
#include "server/listen/acceptor.h"
#include "server/listen/connection_limits.h"
#include "server/listen/listen_address.h"
#include "server/listen/listener.h"
#include "server/listen/unique_fd.h"
#include "server/machine/machine.h"
#include "server/memory/memory_service.h"
#include "server/migration/migration_service.h"
#include "server/migration/migration_targets.h"
#include "server/mmus/mmu_service.h"
#include "server/reflection/reflection_service.h"

namespace simvisor::server {

class Daemon {
 public:
  // Serves `machine` at every address of `listen`, which is not empty.  Stalls
  // are timed by the machine's clock, and calls reach its fault points.
  //
  // Sockets get mode 0600.  Connections are kept within `limits`, and domains
  // may be migrated to `targets`.  Fails, without serving anywhere, as
  // OpenListeners() does.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(
      std::unique_ptr<Machine> machine,
      const std::vector<ListenAddress>& listen,
      const ConnectionLimits& limits = {},
      const CallBounds& bounds = CallBounds(),
      const MigrationTargets& targets = MigrationTargets());

  // Drains without grace, unless Drain() was called.
  ~Daemon();

  // The addresses where it serves, with the ports that the system chose.
  const std::vector<ListenAddress>& addresses() const { return addresses_; }

  const Machine& machine() const { return *machine_; }

  // Reports NOT_SERVING, closes the listening sockets, ends injected delays,
  // releases secondary MMUs, and waits up to `grace` until no call is in flight
  // and all of these have let go.  Then accepts no more
  // calls, cancels those that are left and waits for their end.  Idle
  // connections do not count.
  void Drain(absl::Duration grace);

 private:
  Daemon(std::unique_ptr<Machine> machine, std::vector<Listener> listeners,
         const CallBounds& bounds, const MigrationTargets& targets);

  absl::Status Serve(const ConnectionLimits& limits, const CallBounds& bounds);
  absl::Status Accept(const ConnectionLimits& limits);
  // Begins to release the secondary MMUs of all domains; each counts as a call
  // in flight until it is released or drained_ is set.
  void ReleaseMmus();
  // Gives a connection to gRPC.
  void PassOn(UniqueFd connection, int listener);

  std::atomic<bool> drained_ = false;
  // Destroyed from the last to the first: what brings connections before the
  // server, the server before the services it calls, and these before the
  // threads and the machine they use.
  const std::unique_ptr<Machine> machine_;
  CallRunner runner_;
  HostServiceImpl host_service_;
  DomainServiceImpl domain_service_;
  MemoryServiceImpl memory_service_;
  AddressSpaceServiceImpl address_space_service_;
  GuestLoadServiceImpl guest_load_service_;
  MigrationServiceImpl migration_service_;
  SecondaryMmuServiceImpl mmu_service_;
  FaultServiceImpl fault_service_;
  ReflectionServiceImpl reflection_service_;
  // Where gRPC gets connections from: those of the owner, see FromOwner(), and
  // the others.
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> owners_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> connections_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<ListenAddress> addresses_;
  std::vector<Listener> listeners_;
  std::unique_ptr<Acceptor> acceptor_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_DAEMON_H_
