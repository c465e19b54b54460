#include "client/ui/exit_code.h"

#include <utility>

#include "absl/strings/cord.h"
#include "base/error.h"
#include "client/api/error.h"
#include "client/api/own_reason.h"

namespace simvisor::client {
namespace {

constexpr absl::string_view kUsageUrl = "simvisor.client/usage";

}  // namespace

absl::Status UsageError(absl::string_view message) {
  absl::Status status = absl::InvalidArgumentError(message);
  status.SetPayload(kUsageUrl, absl::Cord());
  return WithReason(std::move(status), OwnReason::kCommandLineInvalid);
}

absl::Status AsUsageError(const absl::Status& status) {
  return status.ok() ? status : UsageError(status.message());
}

bool IsUsageError(const absl::Status& status) {
  return status.GetPayload(kUsageUrl).has_value();
}

int ExitCode(const absl::Status& status) {
  if (status.ok()) return kExitDone;
  if (IsUsageError(status)) return kExitUsage;
  // The daemon itself gives UNAVAILABLE no reason.
  if (absl::IsUnavailable(status) && ReasonOf(status).empty()) {
    return kExitUnreachable;
  }
  if (ReasonOf(status) == ReasonName(Reason::kSecondaryMmuBusy)) {
    return kExitBusy;
  }
  return kExitFailed;
}

}  // namespace simvisor::client
