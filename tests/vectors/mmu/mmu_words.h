// The words of the cases about secondary MMUs.

#ifndef SIMVISOR_TESTS_VECTORS_MMU_MMU_WORDS_H_
#define SIMVISOR_TESTS_VECTORS_MMU_MMU_WORDS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "domain/smmu/mmu_types.h"
#include "domain/units/p2m_word.h"

namespace simvisor {

// A millisecond of a case is ten of the library, whose leases are longer.
inline absl::Duration CaseMs(uint64_t ms) {
  return absl::Milliseconds(10 * ms);
}

std::string WordFor(InvalidateReason reason);
std::string WordFor(ReleaseReason reason);
std::string WordFor(RetryCause cause);
std::string WordFor(FenceCause cause);
std::string WordFor(SubscriptionState state);
std::string WordFor(P2mClass p2m_class);
// "ABORTED SECONDARY_MMU_BUSY"; without a reason "CANCELLED".
std::string WordFor(const absl::Status& error);

// nullopt if there is no such word.
std::optional<InvalidateReason> ReasonNamed(const std::string& word);

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_VECTORS_MMU_MMU_WORDS_H_
