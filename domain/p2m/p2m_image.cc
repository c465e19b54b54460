// What a save image needs of a p2m list beside its notes: where leaves and page
// tables lie, and a list for frames that come in before their guest does.

#include <optional>

#include "domain/p2m/p2m_list.h"

namespace simvisor {

void P2mList::ExpectImage(Pfn end) {
  const uint64_t span = abi_->leaf_span();
  max_pfn_ = last_pfn_ = Pfn((end.value() + span - 1) / span * span);
  words_.Resize(max_pfn_);
}

absl::Status P2mList::AdoptBuilderPages(absl::Span<const uint64_t> leaves,
                                        Stop stop) {
  constexpr uint64_t kLeavesPerStop = 4096;
  for (uint64_t leaf = 0; leaf < leaves.size(); ++leaf) {
    if (leaf % kLeavesPerStop == 0) {
      if (const absl::Status status = stop(); !status.ok()) return status;
    }
    const PfnExtent page = {Pfn(leaves[leaf]), PageCount(1)};
    if (pages_.Intersects(page)) continue;
    pages_.Add(page, PageRole::kBuilderList, leaf);
    builder_pages_.push_back(page);
  }
  builder_leaves_ = leaves.size();
  return absl::OkStatus();
}

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
      const uint64_t above = upper_tables_.size() - LevelTwoPages(p2m_size());
      return use->index >= above
                 ? 2
                 : abi_->page_table_levels - static_cast<int>(use->index);
    }
    default:
      return 0;
  }
}

}  // namespace simvisor
