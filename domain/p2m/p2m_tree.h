// The frame-list tree of a p2m list (p2m.md A8): the top page names a page per
// mid, and a mid's page names its leaves.
//
//   pfn_to_mfn_frame_list_list -> top -> mid page -> leaf
//
// It covers as many mids as a page has words.  All shared mids share one page.
//
// Thread safety: as ToolsPages.

#ifndef SIMVISOR_DOMAIN_P2M_P2M_TREE_H_
#define SIMVISOR_DOMAIN_P2M_P2M_TREE_H_

#include <cstdint>

#include "domain/p2m/p2m_shape.h"
#include "domain/p2m/tools_pages.h"

namespace simvisor {

class P2mTree final : public ToolsPages {
 public:
  // What a slot names.  kStale: a top slot past the area, which no build has
  // rewritten since all mfns changed.
  enum class TopSlot { kOwn, kMidMissing, kStale };
  enum class MidSlot { kLeaf, kMissing, kIdentity };

  // Pages that Publish() takes in addition to one page per private mid.
  static constexpr uint64_t kFixedPages = 3;

  // `shape` must outlive this.
  explicit P2mTree(P2mShape& shape) : shape_(shape) {}

  ToolsView view() const override { return ToolsView::kTree; }
  absl::Status Publish(PageSource& source) override;
  Pfn root_page() const override { return top_; }
  ToolsRoot root() const override;
  absl::Status MidGrew(uint64_t mid, PageSource& source) override;
  PageCount PagesToGrow(uint64_t mid) const override;
  void FramesChanged() override { frames_changed_ = true; }
  void Render(StructurePages::Use use, absl::Span<char> page) const override;
  int TableLevel(StructurePages::Use) const override { return 0; }
  void CountPages(P2mSummary& sum) const override;
  absl::Status CheckMid(uint64_t mid, bool has_private_leaves) const override;
  bool Adopt(Pfn page, PageRole role, uint64_t index) override;
  bool IsComplete() const override;

  TopSlot TopSlotAt(uint64_t slot) const;
  // REQUIRES: TopSlotAt(top) is kOwn.
  MidSlot MidSlotAt(uint64_t top, uint64_t slot) const;

 private:
  bool built() const { return !top_.is_none(); }
  // Whether a mid has a tree page once it is private.
  bool Reaches(uint64_t mid) const {
    return built() && mid < shape_.abi.words_per_page;
  }
  void RenderTop(bool by_pointer, absl::Span<char> page) const;
  void RenderMid(uint64_t mid, absl::Span<char> page) const;

  P2mShape& shape_;
  Pfn mid_missing_ = Pfn::None();     // p2m_mid_missing_mfn
  Pfn top_ = Pfn::None();             // p2m_top_mfn
  Pfn top_by_pointer_ = Pfn::None();  // p2m_top_mfn_p
  uint64_t mid_pages_ = 0;
  bool frames_changed_ = false;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_P2M_TREE_H_
