// The upper page tables that lead to a p2m list, for tools that read it through
// p2m_cr3 (p2m.md B1).
//
//   64-bit:  root (level 4) -> one level 3 page -> level 2 pages -> PTE pages
//   PAE:     root (level 3) -> one level 2 page -> PTE pages
//
// The area begins at a multiple of 1 GiB, which is what a level 2 page maps, so
// level 2 page i holds the entries for PTE pages 512 * i and up.  One level 3
// page is enough: it maps 512 GiB of words, and an area has at most the words
// for 64 TiB of guest memory (128 GiB).
//
// Thread safety: as ToolsPages.

#ifndef SIMVISOR_DOMAIN_P2M_P2M_TABLES_H_
#define SIMVISOR_DOMAIN_P2M_P2M_TABLES_H_

#include <cstdint>
#include <vector>

#include "domain/p2m/p2m_shape.h"
#include "domain/p2m/tools_pages.h"
#include "domain/units/abi.h"

namespace simvisor {

class P2mTables final : public ToolsPages {
 public:
  // The number of pages above the PTE pages, for an area of whole mids.
  // Publish() takes no others.
  static uint64_t PagesAbove(const Abi& abi, Pfn area_end);

  // `shape` must outlive this.
  explicit P2mTables(P2mShape& shape) : shape_(shape) {}

  ToolsView view() const override { return ToolsView::kLinear; }
  absl::Status Publish(PageSource& source) override;
  Pfn root_page() const override {
    return tables_.empty() ? Pfn::None() : tables_.front();
  }
  ToolsRoot root() const override;
  // Growing takes no page: the list takes PTE pages itself, and the tables
  // above them cover the whole area.
  absl::Status MidGrew(uint64_t, PageSource&) override {
    return absl::OkStatus();
  }
  PageCount PagesToGrow(uint64_t) const override { return PageCount(0); }
  void FramesChanged() override {}
  void Render(StructurePages::Use use, absl::Span<char> page) const override;
  int TableLevel(StructurePages::Use use) const override;
  void CountPages(P2mSummary& sum) const override;
  absl::Status CheckMid(uint64_t mid, bool has_private_leaves) const override;
  bool Adopt(Pfn page, PageRole role, uint64_t index) override;
  bool IsComplete() const override;

 private:
  // The number of tables above level 2.
  uint64_t HighTables() const;
  void RenderLevelTwo(uint64_t number, absl::Span<char> page) const;

  P2mShape& shape_;
  std::vector<Pfn> tables_;  // from the root down
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_P2M_TABLES_H_
