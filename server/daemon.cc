#include "server/daemon.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <sys/stat.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "domain/units/status_macros.h"
#include "server/probe_address.h"

namespace simvisor::server {
namespace {

constexpr int kMaxMessageBytes = 4 << 20;
// Calls in flight on one connection; more wait at the client.  This bounds the
// queue of the worker pool, where a call has few jobs at a time.
constexpr int kMaxCallsPerConnection = 1000;

constexpr int kMinPingsEveryMs = 5000;
constexpr int kPingEveryMs = 30000;
constexpr int kPingTimeoutMs = 20000;

// How long answers that are finished may take to leave.
constexpr absl::Duration kLastAnswers = absl::Milliseconds(100);

// More than there are processors, since a worker may wait for a domain that
// another one works on.
int WorkerCount() {
  const int processors = static_cast<int>(std::thread::hardware_concurrency());
  return std::clamp(2 * processors, 8, 32);
}

void SetBounds(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             kMaxCallsPerConnection);
  // The source of a migration asks now and then whether this end is alive.
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kMinPingsEveryMs);
  // A client whose machine is gone must not hold for hours what it asked for.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kPingEveryMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingTimeoutMs);
  // Otherwise a second daemon could share a port, and get half of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

// Starts the server with sockets that only this user can connect to.
std::unique_ptr<grpc::Server> StartPrivately(grpc::ServerBuilder& builder) {
  const mode_t old_mask = umask(S_IXUSR | S_IRWXG | S_IRWXO);
  const absl::Cleanup restore = [old_mask] { umask(old_mask); };
  return builder.BuildAndStart();
}

void ReportServing(grpc::HealthCheckServiceInterface& health) {
  for (const char* service : {v1::HostService::service_full_name(),
                              v1::DomainService::service_full_name(),
                              v1::MemoryService::service_full_name(),
                              v1::AddressSpaceService::service_full_name(),
                              v1::GuestLoadService::service_full_name(),
                              v1::MigrationService::service_full_name(),
                              v1::FaultService::service_full_name()}) {
    health.SetServingStatus(service, true);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(
    std::unique_ptr<Host> host, const std::vector<ListenAddress>& listen,
    Clock* clock, FaultInjector* faults) {
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(host), clock, faults));
  SIMVISOR_RETURN_IF_ERROR(daemon->Guard(listen));
  SIMVISOR_RETURN_IF_ERROR(daemon->Serve(listen));
  return daemon;
}

Daemon::Daemon(std::unique_ptr<Host> host, Clock* clock, FaultInjector* faults)
    : host_(std::move(host)),
      runner_(WorkerCount(), clock, faults),
      host_service_(host_.get(), &runner_),
      domain_service_(host_.get(), &runner_),
      memory_service_(host_.get(), &runner_),
      address_space_service_(host_.get(), &runner_),
      guest_load_service_(host_.get(), &runner_),
      migration_service_(host_.get(), &runner_),
      fault_service_(&runner_) {}

Daemon::~Daemon() { Drain(absl::ZeroDuration()); }

absl::Status Daemon::Guard(const std::vector<ListenAddress>& listen) {
  for (const ListenAddress& address : listen) {
    if (!address.is_unix()) continue;
    SIMVISOR_ASSIGN_OR_RETURN(SocketGuard guard,
                              SocketGuard::Acquire(address.path()));
    guards_.push_back(std::move(guard));
  }
  return absl::OkStatus();
}

absl::Status Daemon::Serve(const std::vector<ListenAddress>& listen) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  SetBounds(builder);
  builder.RegisterService(&host_service_);
  builder.RegisterService(&domain_service_);
  builder.RegisterService(&memory_service_);
  builder.RegisterService(&address_space_service_);
  builder.RegisterService(&guest_load_service_);
  builder.RegisterService(&migration_service_);
  builder.RegisterService(&fault_service_);
  std::vector<int> ports(listen.size(), 0);
  for (size_t i = 0; i < listen.size(); ++i) {
    builder.AddListeningPort(listen[i].GrpcAddress(),
                             grpc::InsecureServerCredentials(), &ports[i]);
  }
  server_ = StartPrivately(builder);
  if (server_ == nullptr) return WhyNotListening(listen);
  for (size_t i = 0; i < listen.size(); ++i) {
    addresses_.push_back(listen[i].is_unix() ? listen[i]
                                             : listen[i].WithPort(ports[i]));
  }
  ReportServing(*server_->GetHealthCheckService());
  return absl::OkStatus();
}

void Daemon::Drain(absl::Duration grace) {
  if (server_ == nullptr) return;
  server_->GetHealthCheckService()->Shutdown();
  runner_.faults->Stop();
  // Not by the deadline of Shutdown() alone, which is waited for in full while
  // a client stays connected, whether or not it calls.
  runner_.calls.AwaitNone(grace);
  server_->Shutdown(absl::ToChronoTime(absl::Now() + kLastAnswers));
  server_->Wait();
  server_ = nullptr;
}

}  // namespace simvisor::server
