// Converts between the messages about virtual CPUs and the machine's types.
//
// The host and the domain check whether a CPU or virtual CPU exists.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_CONVERT_VCPUS_H_
#define SIMVISOR_SERVER_CONVERT_VCPUS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/cpus/vcpu_affinities.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "simvisor/v1/common.pb.h"
#include "simvisor/v1/domain_service.pb.h"

namespace simvisor::server {

// What SetVcpuAffinity asks for.
struct AffinityChange {
  std::vector<uint32_t> vcpus;    // empty: all
  std::optional<CpuRanges> hard;  // unset: unchanged
  std::optional<CpuRanges> soft;
};

// INVALID_ARGUMENT: ARGUMENT_MISSING (no mask is set), ARGUMENT_TOO_LARGE (more
// than 8192 virtual CPUs or ranges).
absl::StatusOr<AffinityChange> FromProto(
    const v1::SetVcpuAffinityRequest& request);

// ARGUMENT_TOO_LARGE for more than 8192 ranges; the host checks the number of
// affinities.
absl::StatusOr<std::vector<VcpuAffinitySpec>> FromProto(
    absl::string_view field,
    const google::protobuf::RepeatedPtrField<v1::VcpuAffinity>& affinities);

void ToProto(const VcpuInfo& info, v1::Vcpu* out);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CONVERT_VCPUS_H_
