#include "client/api/own_reason.h"

#include <cassert>
#include <utility>

#include "absl/strings/cord.h"
#include "client/api/error.h"

namespace simvisor::client {
namespace {

constexpr absl::string_view kReasonUrl = "simvisor.client/reason";

constexpr OwnReason kReasons[] = {
    OwnReason::kCancelled,        OwnReason::kCheckFailed,
    OwnReason::kClientFailed,     OwnReason::kCommandLineInvalid,
    OwnReason::kConfigInvalid,    OwnReason::kDaemonUnreachable,
    OwnReason::kDeadlineExceeded, OwnReason::kFileFailed,
    OwnReason::kPartlyFailed,     OwnReason::kResponseInvalid,
    OwnReason::kScriptInvalid,    OwnReason::kStepFailed};

}  // namespace

absl::Span<const OwnReason> OwnReasons() { return kReasons; }

absl::string_view NameOf(OwnReason reason) {
  switch (reason) {
    case OwnReason::kCancelled:
      return "CANCELLED";
    case OwnReason::kCheckFailed:
      return "CHECK_FAILED";
    case OwnReason::kClientFailed:
      return "CLIENT_FAILED";
    case OwnReason::kCommandLineInvalid:
      return "COMMAND_LINE_INVALID";
    case OwnReason::kConfigInvalid:
      return "CONFIG_INVALID";
    case OwnReason::kDaemonUnreachable:
      return "DAEMON_UNREACHABLE";
    case OwnReason::kDeadlineExceeded:
      return "DEADLINE_EXCEEDED";
    case OwnReason::kFileFailed:
      return "FILE_FAILED";
    case OwnReason::kPartlyFailed:
      return "PARTLY_FAILED";
    case OwnReason::kResponseInvalid:
      return "RESPONSE_INVALID";
    case OwnReason::kScriptInvalid:
      return "SCRIPT_INVALID";
    case OwnReason::kStepFailed:
      return "STEP_FAILED";
  }
  return "";
}

absl::Status WithReason(absl::Status error, OwnReason reason) {
  if (error.ok() || !ReasonOf(error).empty() || error.GetPayload(kReasonUrl)) {
    return error;
  }
  error.SetPayload(kReasonUrl, absl::Cord(NameOf(reason)));
  return error;
}

std::string AnyReasonOf(const absl::Status& error) {
  std::string reason = ReasonOf(error);
  if (!reason.empty()) return reason;
  if (const auto own = error.GetPayload(kReasonUrl)) return std::string(*own);
  return IsOfCall(error) ? "" : std::string(NameOf(OwnReason::kClientFailed));
}

}  // namespace simvisor::client
