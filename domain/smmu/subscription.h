// One subscription: its messages, records, intervals, faults, and what it has
// still to answer.
//
// It keeps its own books only; SecondaryMmus decides, and keeps those of the
// domain.
//
// Thread safety: thread-compatible; guarded by the notifier lock.

#ifndef SIMVISOR_DOMAIN_SMMU_SUBSCRIPTION_H_
#define SIMVISOR_DOMAIN_SMMU_SUBSCRIPTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "domain/smmu/interval_index.h"
#include "domain/smmu/mapping_runs.h"
#include "domain/smmu/message_queue.h"
#include "domain/smmu/mmu_quota.h"
#include "domain/smmu/mmu_types.h"
#include "domain/smmu/pending_faults.h"
#include "domain/smmu/secondary_mmu.h"
#include "domain/units/units.h"

namespace simvisor {

struct Subscription {
  static constexpr RangeId kRelease{0};

  // An event that the holder has to acknowledge.
  struct Owing {
    RangeId range;  // kRelease of a release
    absl::Time since;
  };
  struct Counters {
    uint64_t faults = 0, installs = 0, retries = 0, throttled = 0, parked = 0;
    uint64_t begins = 0, ends = 0, aborts = 0, stale_accesses = 0;
    PageCount invalidated;
    absl::Duration max_answer;
  };

  Subscription(MmuSpec wanted, MmuQuota::Place taken,
               std::shared_ptr<MmuSignal> its_signal, SecondaryMmu* its_object);

  bool ended() const {
    return state == SubscriptionState::kFenced ||
           state == SubscriptionState::kGone;
  }
  // Whether messages about ranges go to it.
  bool hears() const { return !ended() && !released; }
  // Whether a range over `pfns` has to be told to it.
  bool IsConcerned(absl::Span<const PfnExtent> pfns,
                   InvalidateReason reason) const;
  // Whether it maps some of `pfns`, or what a range for `reason` takes away.
  bool HasMappings(absl::Span<const PfnExtent> pfns,
                   InvalidateReason reason) const;

  // Takes mappings away as an answer to a range promises.
  void Invalidate(absl::Span<const PfnExtent> pfns, InvalidateReason reason);
  // Notes the answer to an event, which leaves what it owes; its lease begins
  // again if that was the last.
  void NoteAnswer(uint64_t ev, absl::Time now);
  void RenewLease(absl::Time now);
  // Ends it: nothing is mapped, owing or asked any more.
  void End(SubscriptionState end);

  MmuInfo Info(absl::Time now) const;

  const SubscriptionId id;
  const MmuSpec spec;
  const std::string token;     // empty unless it can be resumed
  SecondaryMmu* const object;  // null: it takes its messages from the queue

  SubscriptionState state = SubscriptionState::kLive;
  bool released = false;  // it was told of `release`: the last event
  bool release_called = false;
  bool leaves = false;  // it has left; `unregistered` is due
  int running = 0;      // callbacks of its object
  absl::Time lease_until = absl::InfiniteFuture();
  std::shared_ptr<MmuSignal> signal;

  MessageQueue queue;
  MappingRuns records;
  IntervalIndex intervals;
  PendingFaults faults;
  absl::btree_map<uint64_t, Owing> owing;           // by ev
  absl::btree_map<uint64_t, uint64_t> young_asked;  // ev -> question
  Counters counters;

 private:
  MmuQuota::Place place_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_SUBSCRIPTION_H_
