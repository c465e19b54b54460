#include "server/calls/rpc_status.h"

#include <string>

#include "base/error.h"
#include "base/printable.h"
#include "base/quote.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace simvisor::server {

std::string ToldMessage(const absl::Status& status) {
  return Shortened(Printable(status.message()), kMaxMessageBytes);
}

std::string ToldReason(const absl::Status& status) {
  return ReasonOf(status).value_or(std::string(ReasonName(Reason::kInternal)));
}

void TellFacts(const absl::Status& status,
               google::protobuf::Map<std::string, std::string>* metadata) {
  for (const auto& [name, value] : FactsOf(status)) {
    (*metadata)[name] = Shortened(Printable(value), kMaxFactBytes);
  }
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message = ToldMessage(status);

  google::rpc::ErrorInfo info;
  info.set_domain(kErrorDomain);
  info.set_reason(ToldReason(status));
  TellFacts(status, info.mutable_metadata());
  google::rpc::Status details;
  details.set_code(status.raw_code());
  details.set_message(message);
  details.add_details()->PackFrom(info);

  return grpc::Status(static_cast<grpc::StatusCode>(status.raw_code()), message,
                      details.SerializeAsString());
}

}  // namespace simvisor::server
