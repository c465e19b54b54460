// One subscription of SecondaryMmus: what it asked for, what it has mapped,
// what it has been told and still has to answer.
//
// Thread safety: thread-compatible; SecondaryMmus serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_SMMU_SUBSCRIPTION_H_
#define SIMVISOR_DOMAIN_SMMU_SUBSCRIPTION_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "domain/smmu/mapping_runs.h"
#include "domain/smmu/mmu_messages.h"
#include "domain/smmu/mmu_quota.h"
#include "domain/smmu/mmu_types.h"
#include "domain/smmu/secondary_mmu.h"
#include "domain/smmu/watched_intervals.h"
#include "domain/units/units.h"

namespace simvisor {

// Erases the entries of `map` for which pred(entry) is true.
template <typename Map, typename Pred>
void EraseIf(Map& map, Pred pred) {
  for (auto at = map.begin(); at != map.end();) {
    at = pred(*at) ? map.erase(at) : std::next(at);
  }
}

struct Subscription {
  // An event that has to be answered.
  struct Owed {
    enum class Kind { kRange, kRelease, kYoung };
    Kind kind = Kind::kRange;
    RangeId range{};        // of kRange
    uint64_t question = 0;  // of kYoung
    absl::Time since = absl::InfinitePast();
  };
  // A fault that has been resolved or parked.
  struct Request {
    FaultRequest fault;
    Mfn mfn;                  // that it resolved to
    uint64_t sample = 0;      // the sequence then
    PfnExtent interval = {};  // with RetryRule::kInterval: the one it is in
  };

  SubscriptionId id{};
  MmuQuota::Place place;
  MmuSpec spec;
  std::string token;
  std::shared_ptr<MmuSignal> signal;
  SecondaryMmu* object = nullptr;
  SubscriptionState state = SubscriptionState::kLive;
  // Whether its last message has been queued.
  bool over = false;
  // Calls of `object` that are under way.
  uint32_t running = 0;
  absl::Time lease_until;

  WatchedIntervals intervals;
  MappingRuns mapped;
  absl::btree_map<uint64_t, Owed> owed;         // by ev
  absl::btree_map<uint64_t, Request> resolved;  // by req
  absl::btree_map<uint64_t, Request> parked;    // likewise
  MmuInfo figures;                              // only the counters

  // The last messages; those before index `next` have been taken, and are kept
  // for a stream that breaks.
  std::deque<mmu::Message> messages;
  size_t next = 0;
  uint64_t last_ev = 0;
  // Whether `resumed` is to be sent next; it has no number.
  bool resumed = false;

  bool attached() const { return state == SubscriptionState::kLive; }
  // Live or detached: it may have mappings, and is told of ranges.
  bool stays() const {
    return attached() || state == SubscriptionState::kDetached;
  }
  bool owes_answers() const;
  bool Watches(absl::Span<const PfnExtent> pfns);
  // Whether it must be told of a range.
  bool IsConcerned(absl::Span<const PfnExtent> pfns, InvalidateReason reason);

  // Queues a message, and returns its number.
  uint64_t Tell(mmu::Body body);
  // Takes up to `most` messages that have not been taken.
  std::vector<mmu::Message> Take(size_t most);
  // Goes back to the message after `ev`; false if that was never sent or is not
  // kept any more.
  bool RewindTo(uint64_t ev);

 private:
  // Drops what need not be kept.
  void Trim();
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_SUBSCRIPTION_H_
