// Guest pages for tests of a list without a guest, and lists in initial shapes.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_SUPPORT_P2M_PAGES_H_
#define SIMVISOR_TESTS_SUPPORT_P2M_PAGES_H_

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/error.h"
#include "domain/p2m/builder_list.h"
#include "domain/p2m/p2m_list.h"
#include "domain/p2m/p2m_tree.h"
#include "domain/p2m/p2m_words.h"
#include "domain/p2m/page_source.h"
#include "domain/p2m/relocation_plan.h"
#include "gtest/gtest.h"
#include "tests/support/change_permit.h"

namespace simvisor {

// Hands out the pages of [first, end), upwards.
class PagesFrom : public PageSource {
 public:
  PagesFrom(uint64_t first, uint64_t end) : next_(first), end_(end) {}

  PfnExtent Take(PageCount count) override {
    const PfnExtent pages = {next_, std::min(count, end_ - next_)};
    next_ += pages.count;
    return pages;
  }
  void Return(PfnExtent pages) override { returned_ += pages.count; }

  Pfn next() const { return next_; }
  PageCount returned() const { return returned_; }

 private:
  Pfn next_;
  Pfn end_;
  PageCount returned_;
};

// Words and the list over them: first the builder's, then the kernel's.
struct TestList {
  P2mOptions options;
  std::unique_ptr<P2mWords> words;
  std::optional<BuilderList> built;  // until it is relocated
  std::unique_ptr<P2mList> list;     // afterwards

  // Makes the words, but no list yet.
  static TestList Make(const Abi& abi, Pfn capacity,
                       const P2mOptions& options = {}) {
    TestList made;
    made.options = options;
    auto words = P2mWords::Create(abi, capacity);
    EXPECT_TRUE(words.ok());
    made.words = *std::move(words);
    return made;
  }

  absl::Status Build(PageCount pages, PageSource& source) {
    auto made = BuilderList::Build(*words, pages, source);
    if (made.ok()) built.emplace(*std::move(made));
    return made.status();
  }
  PageCount PagesToBoot(Pfn limit) const {
    return RelocationPlan(*built, options, limit).PagesToBoot();
  }
  absl::Status Relocate(Pfn limit, PageSource& source) {
    auto made = P2mList::Relocate(kPermit, *std::exchange(built, std::nullopt),
                                  options, limit, source);
    if (made.ok()) list = *std::move(made);
    return made.status();
  }

  // p2m.md A9: gives every RAM word a new frame, as a restore on another
  // machine does, and makes what tools see stale.  `frames_of` is called for
  // pfns in ascending order and returns the frames of the first of them, or of
  // as many as have consecutive frames.  FAILED_PRECONDITION PFN_NOT_RAM,
  // without any change, if there is a foreign word.
  absl::Status ReplaceFrames(
      absl::FunctionRef<MfnExtent(PfnExtent)> frames_of) {
    if (CountWords(*words).foreign > 0) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, Reason::kPfnNotRam,
          "foreign mapping at migration; unmap foreign frames first");
    }
    for (Pfn at(0); at < words->size();) {
      const P2mRun run = words->RunAt(at, words->size(), RunMerge::kByClass);
      while (run.word.Class() == P2mClass::kRam && at < run.pfns.end()) {
        const MfnExtent frames = frames_of(ExtentBetween(at, run.pfns.end()));
        words->Fill(kPermit, {at, frames.count}, RangeFill::Ram(frames.first));
        at += frames.count;
      }
      at = run.pfns.end();
    }
    list->MakeStale();
    return absl::OkStatus();
  }

  // In either phase.
  void StoreFrames(Pfn first, MfnExtent frames) {
    words->Fill(kPermit, {first, frames.count}, RangeFill::Ram(frames.first));
  }
  void ClearFrames(PfnExtent pfns) {
    words->Fill(kPermit, pfns, RangeFill::Missing());
  }
  P2mWord Lookup(Pfn pfn) const {
    return list != nullptr ? list->Lookup(pfn) : built->Lookup(pfn);
  }
  P2mRun RunAt(Pfn pfn, Pfn end, P2mView view, RunMerge merge) const {
    return list != nullptr ? list->RunAt(pfn, end, view, merge)
                           : words->RunAt(pfn, end, merge);
  }
  P2mSummary Summary() const {
    return list != nullptr ? list->Summary() : built->Summary();
  }
  const StructurePages& structure() const {
    return list != nullptr ? list->structure() : built->pages();
  }
  Pfn max_pfn() const {
    return list != nullptr ? list->p2m_size() : built->max_pfn();
  }
  Pfn last_pfn() const {
    return list != nullptr ? list->last_pfn() : built->end();
  }

  // REQUIRES: relocated.
  P2mList* operator->() const { return list.get(); }
  P2mList& operator*() const { return *list; }
};

// A list of `pages` RAM words, pfn at mfn base + pfn, before relocation.
inline TestList BuiltList(const Abi& abi, uint64_t pages, uint64_t base,
                          PageSource& source, const P2mOptions& options = {}) {
  TestList list = TestList::Make(abi, Pfn(8 * abi.mid_span()), options);
  EXPECT_TRUE(list.Build(PageCount(pages), source).ok());
  list.StoreFrames(Pfn(0), {Mfn(base), PageCount(pages)});
  return list;
}

// The tree of a list with the tree view.
inline const P2mTree& TreeOf(const P2mList& list) {
  EXPECT_EQ(list.tools().view(), ToolsView::kTree);
  return static_cast<const P2mTree&>(list.tools());
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_P2M_PAGES_H_
