// Makes operations fail, wait or take the daemon down at chosen points.
//
// A rule names a point and optionally a domain.  Whenever an operation reaches
// the point for that domain, the rule counts a hit.  The first `skip` hits do
// nothing; at each later hit the rule acts with its probability, until it has
// acted `count` times.  The rules of a point are evaluated in the order of
// their ids: delays add up, and the first error or crash ends the walk, so that
// later rules are not hit.
//
// Randomness depends only on the injector's seed and the rule's id: the same
// rules, set in the same order and hit as often, act at the same hits.
//
// Without rules a point costs one relaxed load.
//
// Thread safety: thread-safe.  The mutex is a leaf: nothing except the clock is
// called under it, so FailNow() may be called under any lock.

#ifndef SIMVISOR_SERVER_MACHINE_FAULT_INJECTOR_H_
#define SIMVISOR_SERVER_MACHINE_FAULT_INJECTOR_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "base/allocation_faults.h"
#include "server/machine/fault_points.h"
#include "server/threads/clock.h"

namespace simvisor::server {

enum class FaultAction {
  // The operation fails with the rule's code; an allocation fails as if memory
  // had run out.
  kError,
  // The operation waits, then goes on.
  kDelay,
  // The process is killed by SIGKILL.
  kCrash,
};

struct FaultRule {
  FaultPoint point = FaultPoint::kCreateBegin;
  std::string domain;  // name, matched exactly; empty matches any
  FaultAction action = FaultAction::kError;
  // kError: the code, not kOk.
  absl::StatusCode code = absl::StatusCode::kInternal;
  // kDelay: milliseconds, 1 to kMaxFaultDelayMs.
  uint32_t delay_ms = 0;
  uint64_t skip = 0;
  uint64_t count = 0;      // 0: no limit
  double probability = 1;  // above 0, at most 1
};

struct FaultRuleState {
  uint64_t id = 0;  // counts from 1, never reused
  FaultRule rule;
  uint64_t hits = 0;
  uint64_t acted = 0;
};

inline constexpr uint32_t kMaxFaultDelayMs = 60000;
inline constexpr size_t kMaxFaultRules = 1000;

class FaultInjector final : public AllocationFaults {
 public:
  // `enabled`: whether rules are accepted from the start.  `clock` times delays
  // and outlives this object.
  explicit FaultInjector(bool enabled, uint64_t seed = 0,
                         Clock* clock = SystemClock());

  // An operation on `domain` (empty if its name is not known yet) reaches
  // `point`, which is of FaultPointKind::kCall.  OK if the operation continues,
  // perhaps after a delay; otherwise FAULT_INJECTED with the code of a rule.
  // REQUIRES: the caller holds no lock.
  absl::Status Reach(FaultPoint point, absl::string_view domain)
      ABSL_LOCKS_EXCLUDED(mu_) {
    if (!HasRules(point)) return absl::OkStatus();
    return Act(point, domain);
  }

  // The same, for operations that have to look the name up: `name()` is called
  // only if the point has a rule.
  template <typename Name>
  requires std::is_invocable_v<Name&> absl::Status Reach(FaultPoint point,
                                                         Name&& name)
  ABSL_LOCKS_EXCLUDED(mu_) {
    if (!HasRules(point)) return absl::OkStatus();
    return Act(point, name());
  }

  // These two do not block.
  bool MayFail(AllocationSite site) const override {
    return HasRules(PointOf(site));
  }
  bool FailNow(AllocationSite site) override ABSL_LOCKS_EXCLUDED(mu_);

  bool enabled() const { return enabled_.load(std::memory_order_relaxed); }
  // Accepts rules from now on; returns whether that is new.
  bool Enable() ABSL_LOCKS_EXCLUDED(mu_);
  // Accepts no more rules, and removes those there are; returns how many these
  // were, or nullopt if it accepted none before.
  std::optional<size_t> Disable() ABSL_LOCKS_EXCLUDED(mu_);
  // FAILED_PRECONDITION FAULT_INJECTION_DISABLED if rules are not accepted.
  absl::Status CheckEnabled() const;

  // Sets a rule and returns its id.  Errors: as CheckEnabled();
  // RESOURCE_EXHAUSTED FAULT_RULES_EXHAUSTED at kMaxFaultRules rules.
  // REQUIRES: the rule is within the bounds stated for its fields, and has
  // neither a domain nor a delay if its point is an allocation.
  absl::StatusOr<uint64_t> Add(const FaultRule& rule) ABSL_LOCKS_EXCLUDED(mu_);

  // Every rule, by id.
  std::vector<FaultRuleState> List() const ABSL_LOCKS_EXCLUDED(mu_);

  // Removes the rules with these ids, which may repeat, and returns how many
  // were removed; their delays end at once.  NOT_FOUND FAULT_RULE_NOT_FOUND,
  // and nothing is changed, if no rule has one of the ids.
  absl::StatusOr<size_t> Remove(absl::Span<const uint64_t> ids)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Removes every rule and returns how many there were.
  size_t RemoveAll() ABSL_LOCKS_EXCLUDED(mu_);

  // Ends all delays; later ones end at once.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Entry {
    FaultRuleState state;
    std::mt19937_64 random;
  };

  // What the rules of a point decide for one hit.
  struct Verdict {
    std::vector<FaultRuleState> delays;
    FaultRuleState last;  // an error or a crash, if its id is not 0
  };

  // A point's bit in points_with_rules_.
  static uint64_t BitOf(FaultPoint point) {
    return uint64_t{1} << static_cast<unsigned>(point);
  }
  bool HasRules(FaultPoint point) const {
    return (points_with_rules_.load(std::memory_order_relaxed) &
            BitOf(point)) != 0;
  }

  absl::Status Act(FaultPoint point, absl::string_view domain)
      ABSL_LOCKS_EXCLUDED(mu_);
  Verdict Hit(FaultPoint point, absl::string_view domain)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Counts a hit and says whether the rule acts.
  static bool Acts(Entry& entry);
  // Waits for the delay, the removal of its rule, or Stop().
  void Wait(const FaultRuleState& delay) ABSL_LOCKS_EXCLUDED(mu_);
  // Add() and Remove(), without their lines in the log.
  absl::StatusOr<uint64_t> Set(const FaultRule& rule) ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<size_t> Erase(absl::Span<const uint64_t> ids)
      ABSL_LOCKS_EXCLUDED(mu_);
  size_t Clear() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void NotePoints() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Constant after construction.
  const uint64_t seed_;
  Clock* const clock_;

  // Written under mu_, so that no rule is added after Disable().
  std::atomic<bool> enabled_;
  // Written under mu_, by NotePoints().  A reader that misses a change counts
  // as having come before it.
  std::atomic<uint64_t> points_with_rules_ = 0;

  mutable absl::Mutex mu_;
  absl::btree_map<uint64_t, Entry> rules_ ABSL_GUARDED_BY(mu_);
  uint64_t last_id_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_FAULT_INJECTOR_H_
