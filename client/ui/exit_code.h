// The exit codes of the program.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_UI_EXIT_CODE_H_
#define SIMVISOR_CLIENT_UI_EXIT_CODE_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace simvisor::client {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;       // the operation failed
inline constexpr int kExitUsage = 2;        // the command line is wrong
inline constexpr int kExitUnreachable = 3;  // the daemon is missing or lost
inline constexpr int kExitBusy = 4;  // SECONDARY_MMU_BUSY: try again or wait

// An INVALID_ARGUMENT that ExitCode() turns into kExitUsage.
absl::Status UsageError(absl::string_view message);

// The same with the message of `status`; OK if `status` is.
absl::Status AsUsageError(const absl::Status& status);

// Whether ExitCode() turns `status` into kExitUsage.
bool IsUsageError(const absl::Status& status);

// The exit code of a command that ended with `status`.
int ExitCode(const absl::Status& status);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_EXIT_CODE_H_
