#include "base/error.h"

#include <cassert>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/strip.h"

namespace simvisor {
namespace {

constexpr char kReasonPayload[] = "simvisor/reason";
constexpr absl::string_view kFactPayload = "simvisor/fact/";

struct NamedReason {
  Reason reason;
  absl::string_view name;
};

constexpr NamedReason kReasons[] = {
    {Reason::kAddressSpaceNotFound, "ADDRESS_SPACE_NOT_FOUND"},
    {Reason::kArchNotPae, "ARCH_NOT_PAE"},
    {Reason::kArgumentMalformed, "ARGUMENT_MALFORMED"},
    {Reason::kArgumentMissing, "ARGUMENT_MISSING"},
    {Reason::kArgumentTooLarge, "ARGUMENT_TOO_LARGE"},
    {Reason::kCallsExhausted, "CALLS_EXHAUSTED"},
    {Reason::kCallStalled, "CALL_STALLED"},
    {Reason::kCancelled, "CANCELLED"},
    {Reason::kCpuInvalid, "CPU_INVALID"},
    {Reason::kDaemonMemoryExhausted, "DAEMON_MEMORY_EXHAUSTED"},
    {Reason::kDeadlineExceeded, "DEADLINE_EXCEEDED"},
    {Reason::kDom0Protected, "DOM0_PROTECTED"},
    {Reason::kDomainDying, "DOMAIN_DYING"},
    {Reason::kDomainIdsExhausted, "DOMAIN_IDS_EXHAUSTED"},
    {Reason::kDomainMigrating, "DOMAIN_MIGRATING"},
    {Reason::kDomainNotBooted, "DOMAIN_NOT_BOOTED"},
    {Reason::kDomainNotFound, "DOMAIN_NOT_FOUND"},
    {Reason::kDomainNotMigratable, "DOMAIN_NOT_MIGRATABLE"},
    {Reason::kDomainNotRunning, "DOMAIN_NOT_RUNNING"},
    {Reason::kDomainSuspended, "DOMAIN_SUSPENDED"},
    {Reason::kDowntimeExceeded, "DOWNTIME_EXCEEDED"},
    {Reason::kE820Malformed, "E820_MALFORMED"},
    {Reason::kE820RemapOverflow, "E820_REMAP_OVERFLOW"},
    {Reason::kEpochChanged, "EPOCH_CHANGED"},
    {Reason::kFaultInjected, "FAULT_INJECTED"},
    {Reason::kFaultInjectionDisabled, "FAULT_INJECTION_DISABLED"},
    {Reason::kFaultNotFound, "FAULT_NOT_FOUND"},
    {Reason::kFaultRulesExhausted, "FAULT_RULES_EXHAUSTED"},
    {Reason::kFaultRuleNotFound, "FAULT_RULE_NOT_FOUND"},
    {Reason::kFrameInUse, "FRAME_IN_USE"},
    {Reason::kFrameNotForeign, "FRAME_NOT_FOREIGN"},
    {Reason::kFrameNotOwned, "FRAME_NOT_OWNED"},
    {Reason::kFrameNotReadable, "FRAME_NOT_READABLE"},
    {Reason::kGuestContentsExhausted, "GUEST_CONTENTS_EXHAUSTED"},
    {Reason::kGuestKernelUnknown, "GUEST_KERNEL_UNKNOWN"},
    {Reason::kGuestLoadNotFound, "GUEST_LOAD_NOT_FOUND"},
    {Reason::kGuestLoadRunning, "GUEST_LOAD_RUNNING"},
    {Reason::kGuestMemoryExhausted, "GUEST_MEMORY_EXHAUSTED"},
    {Reason::kHostAddressSpaceExhausted, "HOST_ADDRESS_SPACE_EXHAUSTED"},
    {Reason::kHostMemoryExhausted, "HOST_MEMORY_EXHAUSTED"},
    {Reason::kImageMalformed, "IMAGE_MALFORMED"},
    {Reason::kImageMemoryExhausted, "IMAGE_MEMORY_EXHAUSTED"},
    {Reason::kImageTruncated, "IMAGE_TRUNCATED"},
    {Reason::kImageUnsupported, "IMAGE_UNSUPPORTED"},
    {Reason::kInternal, "INTERNAL"},
    {Reason::kMappingReadOnly, "MAPPING_READ_ONLY"},
    {Reason::kMappingStale, "MAPPING_STALE"},
    {Reason::kMaxMemBelowTarget, "MAX_MEM_BELOW_TARGET"},
    {Reason::kMaxMemExceeded, "MAX_MEM_EXCEEDED"},
    {Reason::kMemorySizeInvalid, "MEMORY_SIZE_INVALID"},
    {Reason::kMessageMemoryExhausted, "MESSAGE_MEMORY_EXHAUSTED"},
    {Reason::kMfnNotAddressable, "MFN_NOT_ADDRESSABLE"},
    {Reason::kMfnOutOfRange, "MFN_OUT_OF_RANGE"},
    {Reason::kMigrationNotFound, "MIGRATION_NOT_FOUND"},
    {Reason::kMigrationSettled, "MIGRATION_SETTLED"},
    {Reason::kMigrationUnresolved, "MIGRATION_UNRESOLVED"},
    {Reason::kNameInUse, "NAME_IN_USE"},
    {Reason::kNameInvalid, "NAME_INVALID"},
    {Reason::kOwnerRequired, "OWNER_REQUIRED"},
    {Reason::kP2mChanged, "P2M_CHANGED"},
    {Reason::kP2mTreeStale, "P2M_TREE_STALE"},
    {Reason::kPageInUseByKernel, "PAGE_IN_USE_BY_KERNEL"},
    {Reason::kPciDeviceInUse, "PCI_DEVICE_IN_USE"},
    {Reason::kPfnHoldsForeign, "PFN_HOLDS_FOREIGN"},
    {Reason::kPfnHoldsRam, "PFN_HOLDS_RAM"},
    {Reason::kPfnNotBalloonable, "PFN_NOT_BALLOONABLE"},
    {Reason::kPfnNotForeign, "PFN_NOT_FOREIGN"},
    {Reason::kPfnNotMissing, "PFN_NOT_MISSING"},
    {Reason::kPfnNotRam, "PFN_NOT_RAM"},
    {Reason::kPfnNotWatched, "PFN_NOT_WATCHED"},
    {Reason::kPfnOutOfRange, "PFN_OUT_OF_RANGE"},
    {Reason::kRangeInvalid, "RANGE_INVALID"},
    {Reason::kSecondaryMmusExhausted, "SECONDARY_MMUS_EXHAUSTED"},
    {Reason::kSecondaryMmuBusy, "SECONDARY_MMU_BUSY"},
    {Reason::kSecondaryMmuFenced, "SECONDARY_MMU_FENCED"},
    {Reason::kSecondaryMmuNotAttached, "SECONDARY_MMU_NOT_ATTACHED"},
    {Reason::kSecondaryMmuNotFound, "SECONDARY_MMU_NOT_FOUND"},
    {Reason::kSecondaryMmuProtocol, "SECONDARY_MMU_PROTOCOL"},
    {Reason::kStaticMaxExceeded, "STATIC_MAX_EXCEEDED"},
    {Reason::kTargetMisbehaved, "TARGET_MISBEHAVED"},
    {Reason::kTargetNotAllowed, "TARGET_NOT_ALLOWED"},
    {Reason::kTargetUnreachable, "TARGET_UNREACHABLE"},
    {Reason::kUuidInUse, "UUID_IN_USE"},
    {Reason::kUuidInvalid, "UUID_INVALID"},
    {Reason::kVcpuOutOfRange, "VCPU_OUT_OF_RANGE"},
};

}  // namespace

absl::string_view ReasonName(Reason reason) {
  for (const NamedReason& named : kReasons) {
    if (named.reason == reason) return named.name;
  }
  return "INTERNAL";
}

const std::vector<Reason>& AllReasons() {
  static const auto* const kAll = [] {
    auto* all = new std::vector<Reason>;
    for (const NamedReason& named : kReasons) all->push_back(named.reason);
    return all;
  }();
  return *kAll;
}

std::string Hex(uint64_t number) {
  return absl::StrCat("0x", absl::Hex(number));
}

void SetFact(const Fact& fact, absl::Status& status) {
  assert(!status.ok());
  status.SetPayload(absl::StrCat(kFactPayload, fact.name),
                    absl::Cord(fact.value));
}

absl::Status MakeError(absl::StatusCode code, Reason reason,
                       absl::string_view message,
                       std::initializer_list<Fact> facts) {
  assert(code != absl::StatusCode::kOk);
  absl::Status status(code, message);
  status.SetPayload(kReasonPayload, absl::Cord(ReasonName(reason)));
  for (const Fact& fact : facts) SetFact(fact, status);
  return status;
}

absl::Status Within(absl::string_view before, const absl::Status& status,
                    std::initializer_list<Fact> facts) {
  assert(!status.ok());
  absl::Status result(status.code(), absl::StrCat(before, status.message()));
  for (const Fact& fact : facts) SetFact(fact, result);
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    result.SetPayload(url, payload);
  });
  return result;
}

std::optional<std::string> ReasonOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kReasonPayload);
  if (!payload.has_value()) return std::nullopt;
  return std::string(*payload);
}

std::map<std::string, std::string> FactsOf(const absl::Status& status) {
  std::map<std::string, std::string> facts;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    if (absl::ConsumePrefix(&url, kFactPayload)) {
      facts[std::string(url)] = std::string(payload);
    }
  });
  return facts;
}

}  // namespace simvisor
