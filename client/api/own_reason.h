// Stable reasons for errors that the client makes itself.
//
// They are names like those of the daemon's reasons (docs/errors.md), for
// programs that read the CLI's JSON; people do not see them.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_API_OWN_REASON_H_
#define SIMVISOR_CLIENT_API_OWN_REASON_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace simvisor::client {

// docs/cli-errors.md says what each means; a test compares them.
enum class OwnReason {
  kCancelled,
  kCheckFailed,
  kClientFailed,
  kCommandLineInvalid,
  kConfigInvalid,
  kDaemonUnreachable,
  kDeadlineExceeded,
  kFileFailed,
  kPartlyFailed,
  kResponseInvalid,
  kScriptInvalid,
  kStepFailed,
};

// All of them.
absl::Span<const OwnReason> OwnReasons();

// "COMMAND_LINE_INVALID", ...
absl::string_view NameOf(OwnReason reason);

// `error` with `reason`; unchanged if it is OK or has a reason already, its own
// or the daemon's.
absl::Status WithReason(absl::Status error, OwnReason reason);

// What a program branches on: the reason of the daemon or of the machine's
// library, else the one that WithReason() gave.  Without either, CLIENT_FAILED
// for an error of the client, and an empty string for one of a call, which gRPC
// has made.
std::string AnyReasonOf(const absl::Status& error);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_OWN_REASON_H_
