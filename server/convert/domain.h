// Converts between DomainService's messages and the machine's types.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_CONVERT_DOMAIN_H_
#define SIMVISOR_SERVER_CONVERT_DOMAIN_H_

#include "absl/status/statusor.h"
#include "domain/host/host.h"
#include "domain/p2m/p2m_options.h"
#include "domain/smmu/mmu_types.h"
#include "domain/vm/domain.h"
#include "domain/vm/domain_types.h"
#include "simvisor/v1/domain_service.pb.h"
#include "simvisor/v1/secondary_mmus.pb.h"

namespace simvisor::server {

// The domain to build.  Checks only the form of the fields; the host checks the
// rest.
//
// INVALID_ARGUMENT: UUID_INVALID (malformed or nil), E820_MALFORMED,
// ARGUMENT_MALFORMED (ABI, e820_host, type of an E820 entry, pae_kernel of a
// 64-bit guest), ARGUMENT_TOO_LARGE (an affinity's ranges).
absl::StatusOr<DomainSpec> FromProto(const v1::DomainSpec& spec);

v1::DomainState ToProto(DomainState state);
v1::BalloonState ToProto(BalloonState state);
v1::ToolsView ToProto(ToolsView view);
v1::BalloonRoom ToProto(BalloonRoom room);
void ToProto(const DomainMemory& memory, v1::DomainMemory* out);
void ToProto(const BalloonDriverInfo& driver, v1::BalloonDriver* out);
void ToProto(const DomainInfo& info, v1::Domain* out);
void ToProto(const MmuTotals& totals, v1::SecondaryMmuTotals* out);
// All that is shown of a domain.
void ToProto(Domain& domain, v1::Domain* out);

void ToProto(const IncomingInfo& info, v1::IncomingDomain* out);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CONVERT_DOMAIN_H_
