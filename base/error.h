// Errors with a stable reason.
//
// Every status that reaches a client of the daemon carries one Reason besides
// its canonical code: programs branch on the reason, people read the message.
// The message states operation, object, offending value, limit and next step;
// it never repeats the code.  docs/errors.md lists every reason, and a test
// checks the code against it.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BASE_ERROR_H_
#define SIMVISOR_BASE_ERROR_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace simvisor {

// ReasonName() gives the name on the wire: kDomainNotFound is DOMAIN_NOT_FOUND.
// Only names travel, so the numbers may change.
enum class Reason {
  kAddressSpaceNotFound,
  kArchNotPae,
  kArgumentMalformed,
  kArgumentMissing,
  kArgumentTooLarge,
  kCallsExhausted,
  kCallStalled,
  kCancelled,
  kCpuInvalid,
  kDaemonMemoryExhausted,
  kDeadlineExceeded,
  kDom0Protected,
  kDomainDying,
  kDomainIdsExhausted,
  kDomainMigrating,
  kDomainNotBooted,
  kDomainNotFound,
  kDomainNotMigratable,
  kDomainNotRunning,
  kDomainSuspended,
  kDowntimeExceeded,
  kE820Malformed,
  kE820RemapOverflow,
  kFaultInjected,
  kFaultInjectionDisabled,
  kFaultRulesExhausted,
  kFaultRuleNotFound,
  kFrameInUse,
  kFrameNotForeign,
  kFrameNotOwned,
  kFrameNotReadable,
  kGuestContentsExhausted,
  kGuestKernelUnknown,
  kGuestLoadNotFound,
  kGuestLoadRunning,
  kGuestMemoryExhausted,
  kHostAddressSpaceExhausted,
  kHostMemoryExhausted,
  kImageMalformed,
  kImageMemoryExhausted,
  kImageTruncated,
  kImageUnsupported,
  kInternal,
  kMaxMemBelowTarget,
  kMaxMemExceeded,
  kMemorySizeInvalid,
  kMessageMemoryExhausted,
  kMfnNotAddressable,
  kMfnOutOfRange,
  kMigrationNotFound,
  kMigrationSettled,
  kMigrationUnresolved,
  kNameInUse,
  kNameInvalid,
  kOwnerRequired,
  kP2mChanged,
  kP2mTreeStale,
  kPageInUseByKernel,
  kPciDeviceInUse,
  kPfnHoldsForeign,
  kPfnHoldsRam,
  kPfnNotBalloonable,
  kPfnNotForeign,
  kPfnNotMissing,
  kPfnNotRam,
  kPfnOutOfRange,
  kRangeInvalid,
  kStaticMaxExceeded,
  kTargetMisbehaved,
  kTargetNotAllowed,
  kTargetUnreachable,
  kUuidInUse,
  kUuidInvalid,
  kVcpuOutOfRange,
};

// "DOMAIN_NOT_FOUND" for kDomainNotFound.
absl::string_view ReasonName(Reason reason);

// Every reason, by name.
const std::vector<Reason>& AllReasons();

// A status with `reason` attached.
// REQUIRES: code is not kOk.
absl::Status MakeError(absl::StatusCode code, Reason reason,
                       absl::string_view message);

// The reason name attached to `status`; nullopt if it has no reason.
std::optional<std::string> ReasonOf(const absl::Status& status);

}  // namespace simvisor

#endif  // SIMVISOR_BASE_ERROR_H_
