#include "bench/rpc/empty_calls.h"

#include "grpc/health/v1/health.grpc.pb.h"

namespace simvisor::bench {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

absl::StatusOr<Outcome> RunEmptyCalls(const Connections& connections,
                                      uint64_t calls, int in_flight) {
  return Run(connections,
             Load<Health::Stub, HealthCheckRequest, HealthCheckResponse>{
                 .name = "Check",
                 .start = &Health::Stub::AsyncCheck,
                 .calls = calls,
                 .in_flight = in_flight,
                 .fill = nullptr,
                 .take = nullptr});
}

}  // namespace simvisor::bench
