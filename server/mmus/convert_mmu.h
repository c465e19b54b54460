// Converts between SecondaryMmuService's messages and the machine's types.
//
// FromProto functions check the form of what they read and name the field in
// their errors; bounds of a subscription are checked by
// CheckMmuSpec().  ToProto functions cannot fail.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_MMUS_CONVERT_MMU_H_
#define SIMVISOR_SERVER_MMUS_CONVERT_MMU_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/smmu/mmu_messages.h"
#include "domain/smmu/mmu_types.h"
#include "domain/units/units.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "simvisor/v1/common.pb.h"
#include "simvisor/v1/secondary_mmu_service.pb.h"
#include "simvisor/v1/secondary_mmus.pb.h"

namespace simvisor::server {

// INVALID_ARGUMENT: ARGUMENT_MALFORMED for an unknown rule or filter,
// ARGUMENT_TOO_LARGE for more intervals than MmuLimits allows, RANGE_INVALID
// for one that is empty or wraps.
absl::StatusOr<MmuSpec> FromProto(const v1::SubscribeRequest::Register& spec);

// The extents of a request, in its order.  INVALID_ARGUMENT: ARGUMENT_TOO_LARGE
// for more than `most`, RANGE_INVALID for one that is empty or wraps.
absl::StatusOr<std::vector<PfnExtent>> FromProto(
    absl::string_view field,
    const google::protobuf::RepeatedPtrField<v1::PfnExtent>& extents,
    size_t most);
// RANGE_INVALID if it is empty or wraps.
absl::StatusOr<PfnExtent> FromProto(absl::string_view field,
                                    const v1::PfnExtent& extent);

FaultRequest FromProto(const v1::SubscribeRequest::Fault& fault);

// REQUIRES: `message` is not mmu::Fenced, which ends the call.
void ToProto(const mmu::Message& message, v1::SubscribeResponse* out);
void ToProto(const PfnExtent& extent, v1::PfnExtent* out);
void ToProto(DomainId domain, const MmuInfo& info, v1::SecondaryMmu* out);
void ToProto(const MappingRun& run, v1::SecondaryMappingRun* out);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MMUS_CONVERT_MMU_H_
