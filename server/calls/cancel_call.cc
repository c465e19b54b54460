#include "server/calls/cancel_call.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "server/calls/rpc_status.h"

namespace simvisor::server {

void CancelCall(grpc::CallbackServerContext* context,
                const absl::Status& status) {
  CancelCall(context->c_call(), status);
}

void CancelCall(grpc_call* call, const absl::Status& status) {
  const std::string message =
      absl::StrCat(ToldMessage(status), " (", ToldReason(status), ")");
  grpc_call_cancel_with_status(call,
                               static_cast<grpc_status_code>(status.code()),
                               message.c_str(), nullptr);
}

}  // namespace simvisor::server
