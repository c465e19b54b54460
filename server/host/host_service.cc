#include "server/host/host_service.h"

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "domain/vm/domain_types.h"
#include "server/calls/stream_call.h"
#include "server/calls/unary_call.h"
#include "server/host/audit_call.h"
#include "server/host/convert_host.h"
#include "server/host/frame_sources.h"
#include "server/machine/memory_reserve.h"

namespace simvisor::server {

HostServiceImpl::HostServiceImpl(CallRunner* runner)
    : runner_(runner),
      audits_(SharedAudit::Create(
          [host = &runner->host()](StopCheck stop, AuditReport& report) {
            return WithinMemory("AuditHost",
                                [&] { return host->Audit(stop, report); });
          },
          [runner](CallJob& job) { return runner->long_jobs.Submit(job); },
          kMaxWaitingCalls)) {}

grpc::ServerUnaryReactor* HostServiceImpl::GetHost(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  return RunInline(
      runner_, {context, in, out}, "GetHost",
      [this](const v1::GetHostRequest&, v1::GetHostResponse* response,
             StopCheck) -> absl::Status {
        ToProto(runner_->host().Info(), response->mutable_host());
        return absl::OkStatus();
      });
}

RawWriteReactor* HostServiceImpl::LookupFrames(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in) {
  return StartStream(runner_, context, in, "LookupFrames",
                     [this](const v1::LookupFramesRequest& request) {
                       return FrameLookup::Create(&runner_->host(), request);
                     });
}

RawWriteReactor* HostServiceImpl::ReadFrames(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in) {
  return StartStream(runner_, context, in, "ReadFrames",
                     [this](const v1::ReadFramesRequest& request) {
                       return FrameReader::Create(&runner_->host(), request);
                     });
}

grpc::ServerUnaryReactor* HostServiceImpl::AuditHost(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto* const call = new AuditCall(runner_, {context, in, out});
  call->Start(audits_);
  return call;
}

}  // namespace simvisor::server
