// Which pages were accessed through secondary mappings: what is asked, and who
// has still to answer.
//
// Thread safety: thread-compatible; the gates are thread-safe.

#ifndef SIMVISOR_DOMAIN_SMMU_YOUNG_QUESTIONS_H_
#define SIMVISOR_DOMAIN_SMMU_YOUNG_QUESTIONS_H_

#include <cstdint>
#include <optional>

#include "absl/container/btree_map.h"
#include "domain/collections/extent_set.h"
#include "domain/smmu/mmu_types.h"
#include "domain/units/change_waiter.h"
#include "domain/units/units.h"

namespace simvisor {

class YoungQuestions {
 public:
  struct Question {
    PfnExtent pfns;
    bool clear = false;
    // Opened once nothing is pending; may be null.
    ChangeGate* gate = nullptr;
    PfnSet young;
    uint32_t asked = 0;
    uint32_t silent = 0;
    absl::btree_map<SubscriptionId, uint64_t> pending;  // to the event's number
  };

  uint64_t Ask(Question question);
  // Null if it has ended.
  Question* Find(uint64_t id);
  // Adds an answer; `young` is cut to what was asked.
  void Answer(uint64_t id, SubscriptionId subscription, const PfnSet& young);
  // Stops waiting for a subscription that has left.
  void Leave(uint64_t id, SubscriptionId subscription);
  std::optional<Question> End(uint64_t id);

  static void AddYoung(PfnExtent young, Question& question);

 private:
  static void Erase(SubscriptionId subscription, Question& question);

  absl::btree_map<uint64_t, Question> questions_;
  uint64_t last_id_ = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_YOUNG_QUESTIONS_H_
