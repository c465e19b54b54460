// Converts between MemoryService's messages and the machine's types.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_MEMORY_CONVERT_MEMORY_H_
#define SIMVISOR_SERVER_MEMORY_CONVERT_MEMORY_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/guest/guest_types.h"
#include "domain/p2m/m2p.h"
#include "domain/p2m/p2m_summary.h"
#include "domain/vm/domain_types.h"
#include "simvisor/v1/memory_service.pb.h"

namespace simvisor::server {

// UNSPECIFIED means the default that the API states; ARGUMENT_MALFORMED for a
// number that is not a value of the enum.
absl::StatusOr<RamPolicy> FromProto(absl::string_view field,
                                    v1::RamPolicy policy);
absl::StatusOr<P2mView> FromProto(absl::string_view field, v1::P2mView view);
absl::StatusOr<RunMerge> FromProto(absl::string_view field, v1::RunMerge merge);

void ToProto(const P2mRun& run, v1::P2mRun* out);
void ToProto(const P2mReport& report, v1::P2mSummary* out);
void ToProto(const ForeignReport& report, v1::MapForeignFramesResponse* out);
void ToProto(const ForeignReport& report, v1::UnmapForeignFramesResponse* out);
void ToProto(const std::vector<MfnTranslation>& answers,
             v1::TranslateMfnsResponse* out);
void ToProto(const MfnListList& list, Mfn max_mfn,
             v1::GetMfnListListResponse* out);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MEMORY_CONVERT_MEMORY_H_
