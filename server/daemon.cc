#include "server/daemon.h"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <iterator>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/status_macros.h"
#include "server/calls/owner_calls.h"
#include "server/listen/inbound_frames.h"
#include "server/listen/inbound_ledger.h"
#include "server/listen/peer_name.h"

namespace simvisor::server {
namespace {

constexpr int kMaxRpcBytes = 4 << 20;
// Most calls in flight on one connection; more wait at the client.  This bounds
// the queue of the worker pool, where a call has few jobs at a time.
constexpr int kMaxCallsPerConnection = 1000;
static_assert(InboundFrames::kMaxStreams > size_t{2} * kMaxCallsPerConnection);

constexpr int kWindowBytes = 64 << 10;
// For connections, and for messages that have arrived but are not taken yet.
constexpr uint64_t kSpareBytes = uint64_t{64} << 20;

constexpr int kMinPingsEveryMs = 5000;
constexpr int kPingEveryMs = 30000;
constexpr int kPingTimeoutMs = 20000;

// How long finished answers may take to be sent.
constexpr absl::Duration kLastAnswers = absl::Milliseconds(100);

// More than there are CPUs, since a worker may wait for a domain that another
// one is using.
int WorkerCount() {
  const int processors = static_cast<int>(std::thread::hardware_concurrency());
  return std::clamp(2 * processors, 8, 32);
}

int ToMilliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

void SetBounds(grpc::ServerBuilder& builder, const ConnectionLimits& limits) {
  builder.SetMaxReceiveMessageSize(kMaxRpcBytes);
  builder.SetMaxSendMessageSize(kMaxRpcBytes);
  // gRPC inflates a whole message before it checks its length, so calls with
  // compressed messages are refused.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             kMaxCallsPerConnection);
  // The source of a migration pings now and then to see whether this end is
  // alive.
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kMinPingsEveryMs);
  // A client whose machine is gone must not hold resources for hours.  The
  // answers to pings tell the acceptor that a connection has a call.
  builder.AddChannelArgument(
      GRPC_ARG_KEEPALIVE_TIME_MS,
      std::min(kPingEveryMs, ToMilliseconds(limits.idle_timeout) / 2));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingTimeoutMs);
  // Otherwise gRPC stops after two pings without data in between.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // The acceptor has seen that a connection starts as HTTP/2; this bounds the
  // rest of the handshake.
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             ToMilliseconds(limits.handshake_timeout));
}

// Bounds the memory that gRPC itself holds.  The ledger bounds the largest
// part, incoming messages; the quota is a backstop that should never be
// reached, since beyond it clients lose connections for no fault of theirs.
void SetMemoryBounds(grpc::ServerBuilder& builder, const CallBounds& bounds) {
  InboundLedger::OfProcess().SetLimit(bounds.message_bytes);
  // Of messages that no call has asked for yet, gRPC reads as much as its
  // windows allow, which would otherwise grow with a client's speed.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES,
                             kWindowBytes);
  grpc::ResourceQuota quota("simvisord");
  quota.Resize(bounds.message_bytes +
               bounds.max_calls * InboundFrames::kCallBytes +
               bounds.max_calls / 2 * uint64_t{kWindowBytes} + kSpareBytes);
  builder.SetResourceQuota(quota);
}

constexpr const char* kServices[] = {
    v1::HostService::service_full_name(),
    v1::DomainService::service_full_name(),
    v1::MemoryService::service_full_name(),
    v1::AddressSpaceService::service_full_name(),
    v1::GuestLoadService::service_full_name(),
    v1::MigrationService::service_full_name(),
    v1::SecondaryMmuService::service_full_name(),
    v1::FaultService::service_full_name()};

void ReportServing(grpc::HealthCheckServiceInterface& health) {
  for (const char* service : kServices) {
    health.SetServingStatus(service, true);
  }
}

std::vector<std::string> NamesForReflection() {
  std::vector<std::string> names(std::begin(kServices), std::end(kServices));
  names.push_back("grpc.health.v1.Health");
  names.push_back(
      grpc::reflection::v1alpha::ServerReflection::service_full_name());
  return names;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(
    std::unique_ptr<Machine> machine, const std::vector<ListenAddress>& listen,
    const ConnectionLimits& limits, const CallBounds& bounds,
    const MigrationTargets& targets) {
  SIMVISOR_ASSIGN_OR_RETURN(std::vector<Listener> listeners,
                            OpenListeners(listen));
  std::unique_ptr<Daemon> daemon(
      new Daemon(std::move(machine), std::move(listeners), bounds, targets));
  SIMVISOR_RETURN_IF_ERROR(daemon->Serve(limits, bounds));
  SIMVISOR_RETURN_IF_ERROR(daemon->Accept(limits));
  return daemon;
}

Daemon::Daemon(std::unique_ptr<Machine> machine,
               std::vector<Listener> listeners, const CallBounds& bounds,
               const MigrationTargets& targets)
    : machine_(std::move(machine)),
      runner_(machine_.get(), WorkerCount(), bounds),
      host_service_(&runner_),
      domain_service_(&runner_),
      memory_service_(&runner_),
      address_space_service_(&runner_),
      guest_load_service_(&runner_),
      migration_service_(&runner_, targets),
      mmu_service_(&runner_),
      fault_service_(&runner_),
      reflection_service_(&runner_, NamesForReflection()),
      listeners_(std::move(listeners)) {
  for (const Listener& listener : listeners_) {
    addresses_.push_back(listener.address());
  }
}

Daemon::~Daemon() { Drain(absl::ZeroDuration()); }

absl::Status Daemon::Serve(const ConnectionLimits& limits,
                           const CallBounds& bounds) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  SetBounds(builder, limits);
  SetMemoryBounds(builder, bounds);
  builder.RegisterService(&host_service_);
  builder.RegisterService(&domain_service_);
  builder.RegisterService(&memory_service_);
  builder.RegisterService(&address_space_service_);
  builder.RegisterService(&guest_load_service_);
  builder.RegisterService(&migration_service_);
  builder.RegisterService(&mmu_service_);
  builder.RegisterService(&fault_service_);
  builder.RegisterService(&reflection_service_);
  using Connections = grpc::ServerBuilder::experimental_type;
  owners_ = builder.experimental().AddExternalConnectionAcceptor(
      Connections::ExternalConnectionType::FROM_FD, OwnerCredentials());
  connections_ = builder.experimental().AddExternalConnectionAcceptor(
      Connections::ExternalConnectionType::FROM_FD, OtherCredentials());
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) {
    return absl::InternalError("gRPC cannot start a server; its log says why");
  }
  ReportServing(*server_->GetHealthCheckService());
  return absl::OkStatus();
}

absl::Status Daemon::Accept(const ConnectionLimits& limits) {
  std::vector<int> sockets;
  for (const Listener& listener : listeners_) {
    for (const UniqueFd& fd : listener.sockets()) sockets.push_back(fd.get());
  }
  const auto serve = [this](UniqueFd connection, int listener) {
    PassOn(std::move(connection), listener);
  };
  const auto taken = [](int connection) {
    return InboundLedger::OfProcess().TakenFrom(connection);
  };
  SIMVISOR_ASSIGN_OR_RETURN(
      acceptor_, Acceptor::Start(std::move(sockets), limits, serve, taken));
  return absl::OkStatus();
}

void Daemon::PassOn(UniqueFd connection, int listener) {
  const bool owner = IsOwner(connection.get());
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters
      parameters;
  parameters.listener_fd = listener;
  InboundLedger::OfProcess().Add(connection.get());
  parameters.fd = connection.Release();  // gRPC closes it
  (owner ? owners_ : connections_)->HandleNewConnection(&parameters);
}

void Daemon::ReleaseMmus() {
  for (const std::shared_ptr<Domain>& domain : machine_->mmus().Domains()) {
    runner_.calls.Begin();
    runner_.waits.Submit([this, domain] {
      const auto stop = [this] {
        return drained_.load()
                   ? MakeError(absl::StatusCode::kCancelled, Reason::kCancelled,
                               "the daemon stops")
                   : absl::OkStatus();
      };
      // One that is being destroyed releases them anyway.
      domain->mmus()
          .Shutdown({.name = "shut down", .stop = stop})
          .IgnoreError();
      runner_.calls.End();
    });
  }
}

void Daemon::Drain(absl::Duration grace) {
  if (server_ == nullptr) return;
  server_->GetHealthCheckService()->Shutdown();
  acceptor_ = nullptr;
  listeners_.clear();
  machine_->faults().Stop();
  ReleaseMmus();
  // The deadline of Shutdown() is not enough: it waits until then while a
  // client stays connected, even without calls.
  runner_.calls.AwaitNone(grace);
  drained_ = true;
  machine_->mmus().FenceAll();
  server_->Shutdown(absl::ToChronoTime(absl::Now() + kLastAnswers));
  server_->Wait();
  server_ = nullptr;
}

}  // namespace simvisor::server
