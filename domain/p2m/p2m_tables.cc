#include "domain/p2m/p2m_tables.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "domain/p2m/page_entries.h"

namespace simvisor {
namespace {

constexpr uint64_t kEntriesPerTable = kPageSize / kPteBytes;

// The index of the entry for `address` in a table of `level`.
constexpr uint64_t TableIndex(uint64_t address, int level) {
  return (address >> (kPageShift + 9 * (level - 1))) % kEntriesPerTable;
}

uint64_t PtePages(const Abi& abi, Pfn area_end) {
  return area_end.value() / abi.mid_span() * abi.pmds_per_mid;
}

uint64_t LevelTwoPages(const Abi& abi, Pfn area_end) {
  return (PtePages(abi, area_end) + kEntriesPerTable - 1) / kEntriesPerTable;
}

}  // namespace

uint64_t P2mTables::PagesAbove(const Abi& abi, Pfn area_end) {
  return LevelTwoPages(abi, area_end) + (abi.page_table_levels == 4 ? 2 : 1);
}

uint64_t P2mTables::HighTables() const {
  return tables_.size() - LevelTwoPages(shape_.abi, shape_.words.size());
}

absl::Status P2mTables::Publish(PageSource& source) {
  if (!tables_.empty()) return absl::OkStatus();
  const uint64_t pages = PagesAbove(shape_.abi, shape_.words.size());
  for (uint64_t i = 0; i < pages; ++i) {
    SIMVISOR_ASSIGN_OR_RETURN(
        const Pfn page, shape_.TakePage(PageRole::kUpperTable, i, source));
    tables_.push_back(page);
  }
  return absl::OkStatus();
}

ToolsRoot P2mTables::root() const {
  assert(!tables_.empty());
  ToolsRoot root;
  root.view = ToolsView::kLinear;
  root.root = Mfn::None();
  root.p2m_cr3 = shape_.abi.Cr3Of(shape_.FrameOf(tables_.front()));
  root.p2m_vaddr = shape_.abi.p2m_area_base;
  return root;
}

int P2mTables::TableLevel(StructurePages::Use use) const {
  if (use.role != PageRole::kUpperTable) return 0;
  return use.index >= HighTables()
             ? 2
             : shape_.abi.page_table_levels - static_cast<int>(use.index);
}

void P2mTables::CountPages(P2mSummary& sum) const {
  sum.page_table_frames = tables_.size();
}

absl::Status P2mTables::CheckMid(uint64_t mid, bool) const {
  if (shape_.map.TreePage(mid).is_none()) return absl::OkStatus();
  return absl::InternalError(
      absl::StrFormat("p2m mid %d must not have a tree page", mid));
}

bool P2mTables::Adopt(Pfn page, PageRole role, uint64_t index) {
  if (role != PageRole::kUpperTable) return false;
  if (tables_.empty()) {
    tables_.assign(PagesAbove(shape_.abi, shape_.words.size()), Pfn::None());
  }
  if (index >= tables_.size() || !tables_[index].is_none()) return false;
  tables_[index] = page;
  return true;
}

bool P2mTables::IsComplete() const {
  return !tables_.empty() &&
         std::none_of(tables_.begin(), tables_.end(),
                      [](Pfn page) { return page.is_none(); });
}

void P2mTables::Render(StructurePages::Use use, absl::Span<char> page) const {
  assert(use.role == PageRole::kUpperTable);
  const Abi& abi = shape_.abi;
  FillEntries(page, kPteBytes, 0);
  const uint64_t high = HighTables();
  if (use.index >= high) {
    RenderLevelTwo(use.index - high, page);
  } else if (use.index + 1 < high) {
    StoreEntry(page, kPteBytes, TableIndex(abi.p2m_area_base, 4),
               PteOf(shape_.FrameOf(tables_[1]), PteTableFlags(abi)));
  } else {
    const uint64_t flags =
        abi.page_table_levels == 4 ? PteTableFlags(abi) : kPtePresent;
    for (uint64_t i = high; i < tables_.size(); ++i) {
      StoreEntry(page, kPteBytes, TableIndex(abi.p2m_area_base, 3) + i - high,
                 PteOf(shape_.FrameOf(tables_[i]), flags));
    }
  }
}

void P2mTables::RenderLevelTwo(uint64_t number, absl::Span<char> page) const {
  const uint64_t first = number * kEntriesPerTable;
  const uint64_t end = std::min(first + kEntriesPerTable,
                                PtePages(shape_.abi, shape_.words.size()));
  for (uint64_t i = first; i < end; ++i) {
    StoreEntry(
        page, kPteBytes, i - first,
        PteOf(shape_.FrameOf(shape_.PtePageAt(i)), PteTableFlags(shape_.abi)));
  }
}

}  // namespace simvisor
