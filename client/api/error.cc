#include "client/api/error.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/printable.h"
#include "client/api/own_reason.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace simvisor::client {
namespace {

constexpr absl::string_view kErrorInfoUrl =
    "type.googleapis.com/google.rpc.ErrorInfo";
// Marks an error that a call returned, with or without a reason.
constexpr absl::string_view kRemoteUrl = "simvisor.client/remote";

// The text after the last ": ", which is the operating system's error in gRPC's
// chains of causes.  If the other side closed the connection cleanly, gRPC may
// not know a cause: the message is empty or "OK".
absl::string_view LastCause(absl::string_view message) {
  const size_t at = message.rfind(": ");
  if (at != absl::string_view::npos) message.remove_prefix(at + 2);
  return message.empty() || message == "OK" ? "closed by the other side"
                                            : message;
}

std::string ExplainUnavailable(absl::string_view message,
                               absl::string_view address) {
  if (absl::StrContains(message, "failed to connect to all addresses")) {
    return absl::StrCat("cannot reach ", address, ": ", LastCause(message),
                        "; is simvisord running?");
  }
  if (absl::StrContains(message, "DNS resolution failed")) {
    return absl::StrCat("cannot reach ", address, ": ", message);
  }
  return absl::StrCat("lost the connection to ", address, ": ",
                      message.empty() ? LastCause(message) : message,
                      "; did simvisord stop?");
}

// Whether calls of `method` change nothing; true if it is empty.
bool OnlyReads(absl::string_view method) {
  constexpr absl::string_view kReads[] = {
      "Get", "List", "Lookup", "Read", "Translate", "Audit", "CheckGuestLoad"};
  return method.empty() || std::any_of(std::begin(kReads), std::end(kReads),
                                       [method](absl::string_view begin) {
                                         return absl::StartsWith(method, begin);
                                       });
}

std::string ExplainTimeout(absl::string_view address,
                           absl::string_view method) {
  if (OnlyReads(method)) {
    return absl::StrCat(address, ": no answer within the timeout; ",
                        "give the call a longer one");
  }
  return absl::StrCat(
      address, ": no answer within the timeout; the call may have been ",
      "cancelled, or be done all the same: look with ",
      absl::StrContains(method, "Migrat") ? "migrations" : "list",
      " before you repeat it with a longer one");
}

// The message of a status that gRPC made on this side.
std::string ExplainLocal(const grpc::Status& status, absl::string_view address,
                         absl::string_view method) {
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      return ExplainUnavailable(status.error_message(), address);
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return ExplainTimeout(address, method);
    default:
      return status.error_message();
  }
}

std::string Explain(const grpc::Status& status, absl::string_view address,
                    absl::string_view method) {
  // The daemon attaches a detail to each of its errors.
  std::string message = status.error_details().empty()
                            ? ExplainLocal(status, address, method)
                            : status.error_message();
  return message.empty()
             ? absl::StrCat(address, " ended the call without saying why")
             : Printable(message);
}

void CopyErrorInfo(const grpc::Status& from, absl::Status& to) {
  google::rpc::Status details;
  if (!details.ParseFromString(from.error_details())) return;
  for (const auto& detail : details.details()) {
    if (detail.Is<google::rpc::ErrorInfo>()) {
      to.SetPayload(kErrorInfoUrl, absl::Cord(detail.value()));
    }
  }
}

// Empty if `status` has none.
google::rpc::ErrorInfo ErrorInfoOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  const auto payload = status.GetPayload(kErrorInfoUrl);
  if (payload) info.ParseFromString(std::string(*payload));
  return info;
}

// What gRPC reports without a reason, and a program may have to tell apart.
absl::Status NameReason(absl::Status error) {
  switch (error.code()) {
    case absl::StatusCode::kUnavailable:
      return WithReason(std::move(error), OwnReason::kDaemonUnreachable);
    case absl::StatusCode::kDeadlineExceeded:
      return WithReason(std::move(error), OwnReason::kDeadlineExceeded);
    case absl::StatusCode::kCancelled:
      return WithReason(std::move(error), OwnReason::kCancelled);
    default:
      return error;
  }
}

}  // namespace

absl::Status FromGrpc(const grpc::Status& status, absl::string_view address,
                      absl::string_view method) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()),
                      Explain(status, address, method));
  if (!absl::IsUnavailable(result)) {
    result.SetPayload(kRemoteUrl, absl::Cord());
  }
  CopyErrorInfo(status, result);
  return NameReason(std::move(result));
}

std::string ReasonOf(const absl::Status& status) {
  // An error of the machine's library that runs in this program.
  if (const auto reason = simvisor::ReasonOf(status)) return *reason;
  return Printable(ErrorInfoOf(status).reason());
}

bool IsOfCall(const absl::Status& status) {
  return status.GetPayload(kRemoteUrl).has_value();
}

std::map<std::string, std::string> MetadataOf(const absl::Status& status) {
  const google::rpc::ErrorInfo info = ErrorInfoOf(status);
  // Those of the machine's library that runs in this program.
  std::map<std::string, std::string> metadata = FactsOf(status);
  for (const auto& [name, value] : info.metadata()) {
    metadata[Printable(name)] = Printable(value);
  }
  return metadata;
}

absl::Status WithMessage(const absl::Status& status,
                         absl::string_view message) {
  absl::Status changed(status.code(), message);
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    changed.SetPayload(url, payload);
  });
  return changed;
}

std::string Describe(const absl::Status& status) {
  const std::string reason = ReasonOf(status);
  const bool own = reason.empty() && !IsOfCall(status);
  return DescribeError(status.message(),
                       own ? "" : absl::StatusCodeToString(status.code()),
                       reason);
}

std::string DescribeError(absl::string_view message, absl::string_view code,
                          absl::string_view reason) {
  const absl::string_view between = code.empty() || reason.empty() ? "" : " ";
  const std::string both = absl::StrCat(code, between, reason);
  return both.empty() ? std::string(message)
                      : absl::StrCat(message, " (", both, ")");
}

}  // namespace simvisor::client
