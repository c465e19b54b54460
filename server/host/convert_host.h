// Converts the machine's types to HostService's messages.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_HOST_CONVERT_HOST_H_
#define SIMVISOR_SERVER_HOST_CONVERT_HOST_H_

#include "domain/host/host.h"
#include "simvisor/v1/host_service.pb.h"

namespace simvisor::server {

// At most this many findings are sent.
inline constexpr size_t kMaxFindings = 1000;

v1::FramePlacement ToProto(Placement placement);
v1::FrameState ToProto(FrameState state);
void ToProto(const HostInfo& info, v1::Host* out);
void ToProto(const FrameRun& run, v1::FrameRun* out);
void ToProto(const AuditReport& report, v1::AuditHostResponse* out);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_HOST_CONVERT_HOST_H_
