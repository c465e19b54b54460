// Converts between the API's common messages and the machine's types.
//
// FromProto functions check what they read and name the field in their errors;
// `field` is its path in the request.  ToProto functions cannot fail.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_CONVERT_COMMON_H_
#define SIMVISOR_SERVER_CONVERT_COMMON_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/e820/e820.h"
#include "domain/host/host.h"
#include "domain/units/abi.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "simvisor/v1/common.pb.h"

namespace simvisor::server {

// A reference to a domain; the field of every request is called "domain".
//
// ARGUMENT_MISSING if nothing is set or the name is empty, UUID_INVALID for a
// malformed uuid, DOMAIN_NOT_FOUND for a number that no domain can have.
absl::StatusOr<DomainSelector> FromProto(const v1::DomainRef& ref);

// UNSPECIFIED means x86-64.
absl::StatusOr<Arch> FromProto(absl::string_view field, v1::Arch arch);
v1::Arch ToProto(Arch arch);

// E820_MALFORMED: as E820Map::Create().
absl::StatusOr<E820Map> FromProto(absl::string_view field,
                                  const v1::E820Map& map);
void ToProto(const E820Map& map, v1::E820Map* out);

// Also refuses FOREIGN, which requests may not ask for.
absl::StatusOr<P2mClass> FromProto(absl::string_view field, v1::P2mClass c);
v1::P2mClass ToProto(P2mClass c);

// The extents of a request, in its order.
//
// ARGUMENT_MISSING if there are none, ARGUMENT_TOO_LARGE for more than 65536,
// RANGE_INVALID for an empty one, MFN_OUT_OF_RANGE for one that wraps.
absl::StatusOr<std::vector<MfnExtent>> FromProto(
    const google::protobuf::RepeatedPtrField<v1::MfnExtent>& extents);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CONVERT_COMMON_H_
