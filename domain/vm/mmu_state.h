// What a domain keeps about its secondary MMUs, from the first subscription on.
//
// Thread safety: `mmus`, `epoch` and `waiting` synchronise themselves or are
// constant; everything else is guarded by the domain's mutex.

#ifndef SIMVISOR_DOMAIN_VM_MMU_STATE_H_
#define SIMVISOR_DOMAIN_VM_MMU_STATE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "domain/collections/extent_set.h"
#include "domain/p2m/p2m_words.h"
#include "domain/smmu/mmu_types.h"
#include "domain/smmu/pfn_claims.h"
#include "domain/smmu/secondary_mmu.h"
#include "domain/smmu/secondary_mmus.h"
#include "domain/units/domain_identity.h"

namespace simvisor {

// The words of a guest once it has booted; before, all pfns are missing.
class PublishedWords final : public PfnResolver {
 public:
  explicit PublishedWords(const std::atomic<const P2mWords*>& published)
      : published_(published) {}
  P2mWord Lookup(Pfn pfn) const override;

 private:
  const std::atomic<const P2mWords*>& published_;
};

struct MmuState {
  // All arguments must outlive it.
  MmuState(const DomainIdentity& domain,
           const std::atomic<const P2mWords*>& published, uint64_t its_epoch)
      : words(published),
        mmus(std::make_shared<SecondaryMmus>(domain, words)),
        epoch(its_epoch) {}

  const PublishedWords words;
  const std::shared_ptr<SecondaryMmus> mmus;
  const uint64_t epoch;
  // Changes that have given up the domain's lock.
  std::atomic<uint32_t> waiting = 0;

  PfnClaims claims;
  // Those who clean the dirty log, one at a time.
  PfnClaims cleans;
  // The range of the present suspension.
  std::optional<RangeId> suspension;
  // Pages that were taken out of the dirty log and are being protected.
  PfnSet being_cleaned;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_MMU_STATE_H_
