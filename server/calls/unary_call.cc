#include "server/calls/unary_call.h"

#include "base/status_macros.h"
#include "server/calls/raw_message.h"

namespace simvisor::server {

bool UnaryCallBase::Accept(google::protobuf::Message* request) {
  const auto accept = [&]() -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(reactor_->Enter(runner_.open_calls, method_));
    // The bytes are const only in the generated interface: they are gRPC's copy
    // for this call, and clearing them here saves holding them along with the
    // message.
    auto& bytes = const_cast<grpc::ByteBuffer&>(*raw_.request);
    return ReadMessage(runner_.messages, method_, bytes, arena_, *request,
                       charge_);
  };
  const absl::Status status = WithinMemory(method_, accept);
  if (!status.ok()) Finish(status, *request);
  return status.ok();
}

void UnaryCallBase::Finish(absl::Status status,
                           const google::protobuf::Message& response) {
  if (status.ok()) {
    status = UnlessExhausted([&] {
      return WriteMessage(runner_.messages, method_, response, *raw_.response);
    });
  }
  record_.LogOutcome(status);
  reactor_->Send(status, *raw_.response);
}

}  // namespace simvisor::server
