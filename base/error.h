// Errors with a stable reason.
//
// Every status that reaches a client of the daemon carries one Reason besides
// its canonical code: programs branch on the reason, people read the message.
// The message states operation, object, offending value, limit and next step;
// it never repeats the code.  The figures of the message are also facts, for
// programs.  docs/errors.md lists every reason, and a test
// checks the code against it.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BASE_ERROR_H_
#define SIMVISOR_BASE_ERROR_H_

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
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
  kEpochChanged,
  kFaultInjected,
  kFaultInjectionDisabled,
  kFaultNotFound,
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
  kMappingReadOnly,
  kMappingStale,
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
  kPfnNotWatched,
  kPfnOutOfRange,
  kRangeInvalid,
  kSecondaryMmusExhausted,
  kSecondaryMmuBusy,
  kSecondaryMmuFenced,
  kSecondaryMmuNotAttached,
  kSecondaryMmuNotFound,
  kSecondaryMmuProtocol,
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

// One entry of an error's metadata, which programs read instead of the message
// (google.rpc.ErrorInfo.metadata).
struct Fact {
  Fact(absl::string_view fact, const absl::AlphaNum& its_value)
      : name(fact), value(its_value.Piece()) {}

  absl::string_view name;  // one of fact::; must outlive the Fact
  std::string value;       // figures in decimal, pfns and mfns as 0x...
};

// "0x1a", for facts.
std::string Hex(uint64_t number);

// Names of facts.  They are stable; docs/errors.md explains them.
namespace fact {
inline constexpr absl::string_view kOperation = "operation";
inline constexpr absl::string_view kDomain = "domain";  // its name
inline constexpr absl::string_view kDomid = "domid";
inline constexpr absl::string_view kRequested = "requested";  // an amount
inline constexpr absl::string_view kAvailable = "available";  // an amount
inline constexpr absl::string_view kLimit = "limit";  // the amount or bound
inline constexpr absl::string_view kUnit = "unit";    // of these amounts
inline constexpr absl::string_view kValue = "value";  // what is wrong
inline constexpr absl::string_view kField = "field";  // of request or image
// Where in the save image or in its kernel's notes, in bytes.
inline constexpr absl::string_view kOffset = "offset";

inline constexpr absl::string_view kAll[] = {
    kOperation, kDomain, kDomid, kRequested, kAvailable,
    kLimit,     kUnit,   kValue, kField,     kOffset};
}  // namespace fact

// A status with `reason` attached, and with `facts`.
// REQUIRES: code is not kOk.
absl::Status MakeError(absl::StatusCode code, Reason reason,
                       absl::string_view message,
                       std::initializer_list<Fact> facts = {});

// The same error with `before` in front of its message and with more facts;
// those that it has stay as they are.
// REQUIRES: `status` is not OK.
absl::Status Within(absl::string_view before, const absl::Status& status,
                    std::initializer_list<Fact> facts = {});

// Adds `fact`, or replaces the one of that name.
// REQUIRES: `status` is not OK.
void SetFact(const Fact& fact, absl::Status& status);

// The reason name attached to `status`; nullopt if it has no reason.
std::optional<std::string> ReasonOf(const absl::Status& status);

// The facts attached to `status`, by name.
std::map<std::string, std::string> FactsOf(const absl::Status& status);

}  // namespace simvisor

#endif  // SIMVISOR_BASE_ERROR_H_
