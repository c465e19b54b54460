#include "server/host_service.h"

#include "absl/status/status.h"
#include "domain/domain/domain_types.h"
#include "domain/units/status_macros.h"
#include "server/convert_host.h"
#include "server/frame_sources.h"
#include "server/stream_call.h"
#include "server/unary_call.h"

namespace simvisor::server {

grpc::ServerUnaryReactor* HostServiceImpl::GetHost(
    grpc::CallbackServerContext* context, const v1::GetHostRequest*,
    v1::GetHostResponse* response) {
  return RunInline(runner_, context, "GetHost",
                   [this, response](StopCheck) -> absl::Status {
                     ToProto(host_->Info(), response->mutable_host());
                     return absl::OkStatus();
                   });
}

grpc::ServerWriteReactor<v1::LookupFramesResponse>*
HostServiceImpl::LookupFrames(grpc::CallbackServerContext* context,
                              const v1::LookupFramesRequest* request) {
  return StartStream<v1::LookupFramesResponse>(
      runner_, context, "LookupFrames",
      [this, request] { return FrameLookup::Create(host_, *request); });
}

grpc::ServerWriteReactor<v1::ReadFramesResponse>* HostServiceImpl::ReadFrames(
    grpc::CallbackServerContext* context,
    const v1::ReadFramesRequest* request) {
  return StartStream<v1::ReadFramesResponse>(
      runner_, context, "ReadFrames",
      [this, request] { return FrameReader::Create(host_, *request); });
}

grpc::ServerUnaryReactor* HostServiceImpl::AuditHost(
    grpc::CallbackServerContext* context, const v1::AuditHostRequest*,
    v1::AuditHostResponse* response) {
  return RunOnPool(runner_, context, "AuditHost",
                   [this, response](StopCheck stop) -> absl::Status {
                     AuditReport report;
                     SIMVISOR_RETURN_IF_ERROR(host_->Audit(stop, report));
                     ToProto(report, response);
                     return absl::OkStatus();
                   });
}

}  // namespace simvisor::server
