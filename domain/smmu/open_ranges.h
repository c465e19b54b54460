// The ranges of a domain that are being invalidated, and the counters by which
// faults are judged.
//
// Ranges may nest and overlap.  `active` counts those that are open, `seq`
// those that were closed; a range that closes raises seq before it lowers
// active, so that a fault that sees neither has not crossed one.
//
// Source: mmu_notifier_seq, mmu_notifier_count of KVM;
// struct mmu_notifier_subscriptions.
//
// Thread safety: thread-compatible; SecondaryMmus serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_SMMU_OPEN_RANGES_H_
#define SIMVISOR_DOMAIN_SMMU_OPEN_RANGES_H_

#include <cstdint>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "domain/smmu/mmu_types.h"
#include "domain/units/change_waiter.h"
#include "domain/units/units.h"

namespace simvisor {

struct OpenRange {
  std::vector<PfnExtent> pfns;
  InvalidateReason reason = InvalidateReason::kUnmap;
  bool blockable = true;
  bool page = false;  // a begin that no message closes
  // Who was told of the begin, and whose answer is missing.
  absl::btree_set<SubscriptionId> told = {};
  absl::btree_set<SubscriptionId> pending = {};
  bool refused = false;
  ChangeGate* gate = nullptr;  // null once it has been opened

  void OpenGate() {
    if (gate != nullptr) gate->Open();
    gate = nullptr;
  }
};

class OpenRanges {
 public:
  using Ranges = absl::btree_map<RangeId, OpenRange>;

  OpenRange& Open(RangeId& id) {
    id = RangeId(++last_);
    ++active_;
    return ranges_[id];
  }
  // Null if it is closed.
  OpenRange* Find(RangeId id) {
    const auto at = ranges_.find(id);
    return at == ranges_.end() ? nullptr : &at->second;
  }
  const OpenRange* Find(RangeId id) const {
    const auto at = ranges_.find(id);
    return at == ranges_.end() ? nullptr : &at->second;
  }
  // REQUIRES: it is open.
  void Close(RangeId id) {
    ++seq_;
    --active_;
    ranges_.erase(id);
  }
  Ranges& ranges() { return ranges_; }
  const Ranges& ranges() const { return ranges_; }

  uint32_t active() const { return active_; }
  uint64_t seq() const { return seq_; }

  // The sequence of intervals; odd while a range that hit one is open, or was,
  // and another is.
  uint64_t interval_seq() const { return interval_seq_; }
  bool interval_hit() const { return (interval_seq_ & 1) != 0; }
  // Notes that an interval is hit; returns the sequence it gets.
  uint64_t HitInterval() { return interval_seq_ |= 1; }
  // Makes an odd sequence even.
  void SettleIntervals() { ++interval_seq_; }

 private:
  Ranges ranges_;
  uint64_t last_ = 0;
  uint32_t active_ = 0;
  uint64_t seq_ = 0;
  uint64_t interval_seq_ = 2;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_OPEN_RANGES_H_
