#include "domain/vm/mmu_state.h"

namespace simvisor {

P2mWord PublishedWords::Lookup(Pfn pfn) const {
  const P2mWords* const words = published_.load(std::memory_order_acquire);
  return words == nullptr ? P2mWord::Invalid() : words->Lookup(pfn);
}

}  // namespace simvisor
