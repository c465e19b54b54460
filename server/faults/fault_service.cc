#include "server/faults/fault_service.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "server/calls/owner_calls.h"
#include "server/calls/unary_call.h"
#include "server/convert/argument.h"
#include "server/faults/convert_fault.h"

namespace simvisor::server {
namespace {

absl::Status CheckOwner(bool owner) {
  if (owner) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kPermissionDenied, Reason::kOwnerRequired,
      "fault injection: only the daemon's user and root may turn it on or off, "
      "on a unix socket of the daemon; call as one of these, or start the "
      "daemon with --enable-fault-injection");
}

}  // namespace

grpc::ServerUnaryReactor* FaultServiceImpl::AddFault(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto add = [this](const v1::AddFaultRequest& request,
                    v1::AddFaultResponse* response, StopCheck) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(runner_->machine.faults().CheckEnabled());
    if (!request.has_rule()) {
      return ArgumentMissing("rule", "say what is to happen, and where");
    }
    SIMVISOR_ASSIGN_OR_RETURN(const FaultRule rule,
                              FromProto("rule", request.rule()));
    SIMVISOR_ASSIGN_OR_RETURN(const uint64_t id,
                              runner_->machine.faults().Add(rule));
    response->set_id(id);
    return absl::OkStatus();
  };
  return RunInline(runner_, {context, in, out}, "AddFault", add);
}

grpc::ServerUnaryReactor* FaultServiceImpl::ListFaults(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto list = [this](const v1::ListFaultsRequest&,
                     v1::ListFaultsResponse* response,
                     StopCheck) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(runner_->machine.faults().CheckEnabled());
    for (const FaultRuleState& state : runner_->machine.faults().List()) {
      ToProto(state, response->add_faults());
    }
    for (const FaultPointInfo& point : AllFaultPoints()) {
      ToProto(point, response->add_points());
    }
    return absl::OkStatus();
  };
  return RunInline(runner_, {context, in, out}, "ListFaults", list);
}

grpc::ServerUnaryReactor* FaultServiceImpl::RemoveFaults(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto remove = [this](const v1::RemoveFaultsRequest& request,
                       v1::RemoveFaultsResponse* response,
                       StopCheck) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(runner_->machine.faults().CheckEnabled());
    if (request.all()) {
      if (request.ids_size() > 0) {
        return ArgumentMalformed("ids", "with all, leave it empty");
      }
      response->set_removed(
          static_cast<uint32_t>(runner_->machine.faults().RemoveAll()));
      return absl::OkStatus();
    }
    SIMVISOR_RETURN_IF_ERROR(
        CheckListSize("ids", request.ids_size(), kMaxFaultRules));
    SIMVISOR_ASSIGN_OR_RETURN(
        const size_t removed,
        runner_->machine.faults().Remove(
            absl::MakeConstSpan(request.ids().data(), request.ids_size())));
    response->set_removed(static_cast<uint32_t>(removed));
    return absl::OkStatus();
  };
  return RunInline(runner_, {context, in, out}, "RemoveFaults", remove);
}

grpc::ServerUnaryReactor* FaultServiceImpl::SetFaultInjection(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto set = [this, owner = FromOwner(*context)](
                 const v1::SetFaultInjectionRequest& request,
                 v1::SetFaultInjectionResponse* response,
                 StopCheck) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(CheckOwner(owner));
    FaultInjector& faults = runner_->machine.faults();
    if (request.enabled()) {
      response->set_changed(faults.Enable());
      return absl::OkStatus();
    }
    const std::optional<size_t> removed = faults.Disable();
    response->set_changed(removed.has_value());
    response->set_removed(static_cast<uint32_t>(removed.value_or(0)));
    return absl::OkStatus();
  };
  return RunInline(runner_, {context, in, out}, "SetFaultInjection", set);
}

}  // namespace simvisor::server
