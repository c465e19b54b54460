// Converts between the messages of AddressSpaceService, or a domain's
// PaeKernel, and the machine's types.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_CONVERT_ADDRESS_SPACE_H_
#define SIMVISOR_SERVER_CONVERT_ADDRESS_SPACE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/processes/address_space_types.h"
#include "simvisor/v1/address_space_service.pb.h"
#include "simvisor/v1/domain_service.pb.h"

namespace simvisor::server {

// ARGUMENT_MALFORMED for a split that is not a value of the enum; UNSPECIFIED
// means 3 GiB for processes.
absl::StatusOr<PaeKernel> FromProto(absl::string_view field,
                                    const v1::PaeKernel& kernel);
void ToProto(const PaeKernel& kernel, v1::PaeKernel* out);

void ToProto(const AddressSpaceTotals& totals, v1::AddressSpaceTotals* out);
void ToProto(const AddressSpaceInfo& space, v1::AddressSpace* out);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CONVERT_ADDRESS_SPACE_H_
