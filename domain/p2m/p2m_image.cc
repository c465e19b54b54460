// What a save image needs of a p2m list beside its notes: where leaves and page
// tables lie.

#include <optional>

#include "domain/p2m/p2m_list.h"
#include "domain/p2m/p2m_tables.h"

namespace simvisor {

Pfn P2mList::LeafPageAt(uint64_t leaf) const {
  switch (LeafBacking(leaf)) {
    case Backing::kMissing:
      return missing_leaf_;
    case Backing::kIdentity:
      return identity_leaf_;
    case Backing::kPrivate:
      break;
  }
  return shape_.LeafPage(leaf);
}

int P2mList::TableLevel(Pfn pfn) const {
  const std::optional<StructurePages::Use> use = pages_.Find(pfn);
  if (!use.has_value()) return 0;
  switch (use->role) {
    case PageRole::kMissingPte:
    case PageRole::kIdentityPte:
    case PageRole::kPte:
      return 1;
    case PageRole::kUpperTable: {
      const uint64_t above =
          upper_tables_.size() - LevelTwoPages(*abi_, p2m_size());
      return use->index >= above
                 ? 2
                 : abi_->page_table_levels - static_cast<int>(use->index);
    }
    default:
      return 0;
  }
}

}  // namespace simvisor
