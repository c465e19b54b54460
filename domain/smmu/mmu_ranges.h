// The ranges of a domain that are being invalidated.
//
// `active` is the number of open ranges, `seq` counts those that were closed.
// A fault that has seen neither an open range nor a change of seq between its
// two steps has missed none.  Who was told of a range is stored when it opens,
// so that each is told of its close exactly once.
//
// Thread safety: thread-compatible; the gates are thread-safe.

#ifndef SIMVISOR_DOMAIN_SMMU_MMU_RANGES_H_
#define SIMVISOR_DOMAIN_SMMU_MMU_RANGES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "domain/smmu/mmu_types.h"
#include "domain/smmu/seeded_mistakes.h"
#include "domain/units/change_waiter.h"
#include "domain/units/units.h"

namespace simvisor {

class MmuRanges {
 public:
  struct Told {
    SubscriptionId id;
    uint64_t ev;          // of the message that is to be acknowledged
    bool called = false;  // its object was called
  };
  struct Range {
    std::vector<PfnExtent> pfns;
    InvalidateReason reason;
    bool blockable = true;
    bool page = false;           // told in one message, which nothing closes
    ChangeGate* gate = nullptr;  // null once it was opened
    bool refused = false;
    std::vector<Told> told;  // by number
    // Whose answer is missing.  Those of `told`, and those that were told of
    // `release` before the range was opened and have mappings in it.
    absl::btree_set<SubscriptionId> pending;
  };
  using Open = absl::btree_map<RangeId, Range>;

  // Opens a range of which no subscription has been told yet.
  RangeId Begin(Range range);
  // Opens the gate if no answer is missing; to be called when all were told.
  void OpenGateIfAnswered(RangeId id);
  // Null if the range is not open.
  Range* Find(RangeId id);
  const Range* Find(RangeId id) const;

  // Counts an answer as given.
  void Answer(RangeId id, SubscriptionId subscription);
  // Notes that a subscription will not answer in time; opens the gate.
  void Refuse(RangeId id, SubscriptionId subscription);
  // Counts all answers of a subscription as given.
  void Leave(SubscriptionId subscription);

  // Closes a range and returns it; seq grows before active falls.
  std::optional<Range> Close(RangeId id);

  size_t active() const {
    return IsSeeded(SeededMistake::kBeginWithoutCounter) ? 0 : open_.size();
  }
  uint64_t seq() const { return seq_; }
  const Open& open() const { return open_; }

 private:
  static void Erase(Range& range, SubscriptionId subscription);
  static void OpenGate(Range& range);

  Open open_;
  uint64_t seq_ = 0;
  uint64_t last_id_ = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_MMU_RANGES_H_
