// Converts between GuestLoadService's messages and the machine's types.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_GUESTS_CONVERT_GUEST_LOAD_H_
#define SIMVISOR_SERVER_GUESTS_CONVERT_GUEST_LOAD_H_

#include "absl/status/statusor.h"
#include "domain/guest/guest_load.h"
#include "domain/vm/domain_types.h"
#include "simvisor/v1/guest_load_service.pb.h"

namespace simvisor::server {

// ARGUMENT_MALFORMED for a pattern that is not a value of the enum,
// ARGUMENT_TOO_LARGE for a rate above the API's limit.
absl::StatusOr<LoadSpec> FromProto(const v1::LoadSpec& spec);

void ToProto(const LoadReport& report, v1::GuestLoad* out);
void ToProto(const LoadCheck& check, v1::CheckGuestLoadResponse* out);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_GUESTS_CONVERT_GUEST_LOAD_H_
