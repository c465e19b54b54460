// What secondary MMUs and the changes that they hear of have in common.
//
// A secondary MMU is a client that keeps mappings pfn -> mfn of a domain: a
// shadow MMU, the TLB of a device or of an IOMMU, a map cache.  It subscribes
// to the domain, faults pages in, and lets go of them when it is told to.
//
// Source: include/linux/mmu_notifier.h.
//
// Thread safety: plain values.

#ifndef SIMVISOR_DOMAIN_SMMU_MMU_TYPES_H_
#define SIMVISOR_DOMAIN_SMMU_MMU_TYPES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "domain/units/units.h"

namespace simvisor {

// Numbers of subscriptions are unique in a daemon, those of ranges in a domain;
// both begin at 1.
enum class SubscriptionId : uint64_t {};
enum class RangeId : uint64_t {};

// Every pfn that a domain can have, and more: as an extent, "the whole domain".
inline constexpr PfnExtent kEveryPfn = {Pfn(0), PageCount(uint64_t{1} << 62)};

// By what a fault is judged.
enum class RetryRule {
  // No range of the domain is open, and none has ended since the fault was
  // resolved.  Source: mmu_notifier_retry() of Linux 2.6.27.
  kGlobal,
  // By the sequence of the interval that the pfn is in.
  // Source: mmu_interval_read_begin(), mmu_interval_read_retry().
  kInterval,
};

// Which ranges a subscription is told of, of those that meet its intervals.
enum class EventFilter {
  kAll,
  kMapped,  // only if it has a mapping there; of kProtect, a writable one
};

enum class InvalidateReason {
  kUnmap,    // words become missing or identity
  kReplace,  // words get other frames
  kProtect,  // write access goes, the frames stay
  kSuspend,  // the whole domain, until it resumes
  kMigrate,  // the same, before a handover
  kBoot,     // the guest boots, and moves frames from under holes
};

enum class ReleaseReason { kDestroyed, kMigrated, kShutdown };

enum class RetryCause {
  kInvalidating,  // a range that stops the fault is open
  kChanged,       // a range has ended since the fault was resolved
  kThrottled,     // too many faults are unanswered
};

enum class FenceCause {
  kLease,     // its lease ended
  kStream,    // its stream broke, and it is not resumable
  kProtocol,  // it broke the protocol
  kOperator,  // an operator fenced it
};

enum class SubscriptionState {
  kLive,
  kDetached,  // its stream broke, and it may come back until its lease ends
  kFenced,
  kGone,  // unregistered or released
};

struct MmuLimits {
  static constexpr uint32_t kPerDomain = 64;
  static constexpr uint32_t kPerDaemon = 4096;
  static constexpr size_t kMaxNameBytes = 63;
  static constexpr size_t kMaxIntervals = 1024;
  static constexpr size_t kMaxExtents = 1024;  // of one message
  static constexpr uint32_t kMaxFaultWindow = 4096;
  static constexpr uint32_t kDefaultFaultWindow = 256;
  static constexpr absl::Duration kMinLease = absl::Milliseconds(100);
  static constexpr absl::Duration kMaxLease = absl::Seconds(60);
  static constexpr absl::Duration kDefaultLease = absl::Seconds(5);
  static constexpr uint32_t kMaxAhead = 511;  // pages
  static constexpr size_t kMaxYoungRuns = 4096;
};

// What a subscription asks for.
struct MmuSpec {
  std::string name;                  // 1 to 63 bytes; need not be unique
  std::vector<PfnExtent> intervals;  // empty: the whole domain
  RetryRule rule = RetryRule::kGlobal;
  EventFilter events = EventFilter::kAll;
  absl::Duration lease = MmuLimits::kDefaultLease;
  uint32_t fault_window = MmuLimits::kDefaultFaultWindow;
  bool resumable = false;
  uint64_t expect_epoch = 0;  // 0: any
};

struct FaultRequest {
  uint64_t req = 0;  // chosen by the client, not in use
  Pfn pfn;
  bool write = false;
  uint32_t ahead = 0;     // following pfns that may be mapped too
  bool two_step = false;  // resolve only; a commit follows
  bool wait = false;      // park it while a range stops it
};

// Mappings of consecutive pfns to consecutive frames.
struct MappingRun {
  Pfn pfn;
  Mfn mfn;
  PageCount count;
  bool writable = false;

  friend bool operator==(const MappingRun&, const MappingRun&) = default;
};

// One subscription, as lists show it.
struct MmuInfo {
  SubscriptionId id{};
  std::string name;
  SubscriptionState state = SubscriptionState::kLive;
  RetryRule rule = RetryRule::kGlobal;
  EventFilter events = EventFilter::kAll;
  bool in_process = false;
  std::vector<PfnExtent> intervals;
  PageCount mapped, writable;
  uint64_t mapped_runs = 0;
  uint64_t faults = 0, installs = 0, retries = 0, throttled = 0, parked = 0;
  uint64_t begins = 0, ends = 0, aborts = 0, stale_accesses = 0;
  PageCount invalidated;
  uint32_t unanswered_events = 0;
  absl::Duration oldest_unanswered, max_answer, lease_left;
};

// All subscriptions of a domain together.
struct MmuTotals {
  uint32_t subscriptions = 0;
  PageCount mapped;
  uint32_t open_ranges = 0;
  uint64_t seq = 0;
  uint64_t interval_seq = 0;
  uint64_t epoch = 0;
  uint64_t fences = 0;
  uint32_t waiting_changes = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_MMU_TYPES_H_
