// The upper page tables that lead to a p2m list, for tools that read it through
// p2m_cr3 (B1).
//
//   64-bit:  root (level 4) -> one level 3 page -> level 2 pages -> PTE pages
//   PAE:     root (level 3) -> one level 2 page -> PTE pages
//
// The area begins at a multiple of 1 GiB, what a level 2 page maps, so level 2
// page i holds entries for PTE pages 512 * i and up.  It is far below what one
// level 3 page maps (512 GiB of words): areas end at 64 TiB of guest.

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/status_macros.h"
#include "domain/p2m/p2m_list.h"
#include "domain/p2m/p2m_tables.h"
#include "domain/p2m/page_entries.h"

namespace simvisor {
namespace {

// Where an entry for `address` lies in a table of `level`.
constexpr uint64_t TableIndex(uint64_t address, int level) {
  return (address >> (kPageShift + 9 * (level - 1))) % kEntriesPerTable;
}

}  // namespace

absl::Status P2mList::BuildPageTables(PageSource& source) {
  if (upper_tables_.empty()) {
    for (uint64_t i = 0; i < UpperTables(*abi_, p2m_size()); ++i) {
      SIMVISOR_ASSIGN_OR_RETURN(const Pfn page,
                                TakePage(PageRole::kUpperTable, i, source));
      upper_tables_.push_back(page);
    }
  }
  return absl::OkStatus();
}

absl::Status P2mList::PublishToTools(PageSource& source) {
  if (options_.tools_view == ToolsView::kTree) return BuildTree(source);
  SIMVISOR_RETURN_IF_ERROR(BuildPageTables(source));
  MarkPublished();
  return absl::OkStatus();
}

void P2mList::MarkPublished() {
  tools_fresh_ = true;
  words_.RestartGeneration();
}

absl::StatusOr<ToolsRoot> P2mList::FindToolsRoot() const {
  if (!tools_fresh_) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, Reason::kP2mTreeStale,
        "its frames have changed and the guest has not told tools anew where "
        "its p2m list is; let it resume");
  }
  ToolsRoot found;
  found.view = options_.tools_view;
  if (found.view == ToolsView::kTree) {
    found.root = FrameOf(top_page_);
    return found;
  }
  found.root = Mfn::None();
  found.p2m_cr3 = abi_->Cr3Of(FrameOf(upper_tables_.front()));
  found.p2m_vaddr = abi_->p2m_area_base;
  return found;
}

void P2mList::RenderUpperTable(uint64_t index, absl::Span<char> page) const {
  FillEntries(page, kPteBytes, 0);
  const uint64_t base = abi_->p2m_area_base;
  const uint64_t level_twos = LevelTwoPages(*abi_, p2m_size());
  const uint64_t above = upper_tables_.size() - level_twos;
  if (index >= above) {
    RenderLevelTwo(index - above, page);
  } else if (index + 1 < above) {
    StoreEntry(page, kPteBytes, TableIndex(base, 4),
               PteOf(FrameOf(upper_tables_[1]), PteTableFlags(*abi_)));
  } else {
    const uint64_t flags =
        abi_->page_table_levels == 4 ? PteTableFlags(*abi_) : kPtePresent;
    for (uint64_t i = 0; i < level_twos; ++i) {
      StoreEntry(page, kPteBytes, TableIndex(base, 3) + i,
                 PteOf(FrameOf(upper_tables_[above + i]), flags));
    }
  }
}

void P2mList::RenderLevelTwo(uint64_t number, absl::Span<char> page) const {
  const uint64_t first = number * kEntriesPerTable;
  const uint64_t end = std::min(first + kEntriesPerTable,
                                MidOf(p2m_size()) * abi_->pmds_per_mid);
  for (uint64_t i = first; i < end; ++i) {
    StoreEntry(page, kPteBytes, i - first,
               PteOf(FrameOf(PtePageAt(i)), PteTableFlags(*abi_)));
  }
}

Pfn P2mList::PtePageAt(uint64_t entry) const {
  const uint64_t mid = entry / abi_->pmds_per_mid;
  switch (shape_.MidBacking(mid)) {
    case Backing::kMissing:
      return missing_pte_;
    case Backing::kIdentity:
      return identity_pte_;
    case Backing::kPrivate:
      break;
  }
  return shape_.PtePage(mid, entry % abi_->pmds_per_mid);
}

P2mWord P2mList::LookupThrough(Pfn pte_page, Pfn pfn) const {
  if (pte_page == missing_pte_) return P2mWord::Invalid();
  if (pte_page == identity_pte_) return P2mWord::Identity(pfn);
  const std::optional<StructurePages::Use> use = pages_.Find(pte_page);
  if (!use.has_value() || use->role != PageRole::kPte) {
    return P2mWord::Invalid();
  }
  const uint64_t leaf =
      use->index * abi_->ptrs_per_pte + LeafOf(pfn) % abi_->ptrs_per_pte;
  switch (LeafBacking(leaf)) {
    case Backing::kMissing:
      return P2mWord::Invalid();
    case Backing::kIdentity:
      return P2mWord::Identity(pfn);
    case Backing::kPrivate:
      break;
  }
  const uint64_t span = abi_->leaf_span();
  return Lookup(Pfn(leaf * span + pfn.value() % span));
}

}  // namespace simvisor
