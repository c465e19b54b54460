// A p2m list as plain vectors, one pfn at a time.
//
// Follows p2m.md A3 to A10 literally: builder list, relocation element by
// element, try-set, else alloc-entry (page-table pages, tree page, leaf), else
// fail.  `*left` is always the number of pages that the guest has left; a call
// that takes pages lowers it, and fails when it reaches 0.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_SUPPORT_P2M_LIST_MODEL_H_
#define SIMVISOR_TESTS_SUPPORT_P2M_LIST_MODEL_H_

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "domain/p2m/leaf_map.h"
#include "domain/p2m/p2m_list.h"
#include "domain/p2m/p2m_summary.h"
#include "domain/p2m/p2m_tree.h"
#include "domain/units/abi.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"

namespace simvisor {

class P2mListModel {
 public:
  explicit P2mListModel(const Abi& abi, const P2mOptions& options = {})
      : abi_(abi), options_(options) {}

  uint64_t size() const { return size_; }
  uint64_t max_pfn() const { return max_pfn_; }
  uint64_t last_pfn() const { return last_pfn_; }
  uint64_t generation() const { return generation_; }
  bool relocated() const { return relocated_; }
  bool tree_built() const { return tree_built_; }
  bool tools_fresh() const { return tools_fresh_; }

  // --- Before relocation -----------------------------------------------------

  bool Build(uint64_t nr_pages, uint64_t* left) {
    const uint64_t leaves = (nr_pages + Span() - 1) / Span();
    if (*left < leaves) return false;
    *left -= leaves;
    builder_.resize(leaves * Span());
    size_ = max_pfn_ = last_pfn_ = builder_.size();
    return true;
  }
  void AddExtra(uint64_t first, uint64_t end) {
    extra_.push_back({first, end, true});
    max_pfn_ = end;
  }
  void RemoveExtra(uint64_t first, uint64_t end) {
    extra_.push_back({first, end, false});
  }
  uint64_t SetRangeIdentity(uint64_t start, uint64_t end) {
    if (start >= size_ || start > end) return 0;
    end = std::min(end, size_);
    for (uint64_t pfn = start; pfn < end; ++pfn) {
      builder_[pfn] = P2mWord::Identity(Pfn(pfn));
    }
    return end - start;
  }

  // p2m.md A7, then A3.  After a failure the list must not be used.
  bool Relocate(uint64_t limit, uint64_t* left);

  // --- Lookups ---------------------------------------------------------------

  P2mWord Lookup(uint64_t pfn) const {
    if (pfn < size_ && !relocated_) return builder_[pfn];
    if (pfn < size_) {
      const Leaf& leaf = leaves_[pfn / Span()];
      if (leaf.backing == Backing::kPrivate) return leaf.words[pfn % Span()];
      if (leaf.backing == Backing::kMissing) return P2mWord();
    }
    if (!relocated_ && pfn < max_pfn_ && InExtra(pfn)) return P2mWord();
    return P2mWord::Identity(Pfn(pfn));
  }
  P2mWord Word(uint64_t pfn, P2mView view) const {
    const bool stored = view == P2mView::kRaw && relocated_ &&
                        LeafBacking(pfn / Span()) != Backing::kPrivate;
    return stored ? P2mWord() : Lookup(pfn);
  }
  // The run that starts at `pfn`, cut at `end`.
  P2mRun RunAt(uint64_t pfn, uint64_t end, P2mView view, RunMerge merge) const {
    P2mRun run = {{Pfn(pfn), PageCount(1)}, Word(pfn, view)};
    P2mWord last = run.word;
    for (uint64_t next = pfn + 1; next < end; ++next) {
      const P2mWord word = Word(next, view);
      if (word.Class() != last.Class()) break;
      if (merge == RunMerge::kByFrame && !word.is_invalid() &&
          word.raw() != last.raw() + 1) {
        break;
      }
      last = word;
      run.pfns.count += PageCount(1);
    }
    return run;
  }

  // All counts except those of frames, which Pages() has.
  P2mSummary Summary() const {
    P2mSummary sum;
    for (uint64_t i = 0; i < leaves_.size(); ++i) {
      const Leaf& leaf = leaves_[i];
      switch (leaf.backing) {
        case Backing::kMissing:
          ++sum.missing_leaves;
          sum.missing += Span();
          break;
        case Backing::kIdentity:
          ++sum.identity_leaves;
          sum.identity += Span();
          break;
        case Backing::kPrivate:
          ++sum.private_leaves;
          for (const P2mWord word : leaf.words) ++CountOf(word.Class(), sum);
          break;
      }
    }
    if (!relocated_) {
      for (const P2mWord word : builder_) ++CountOf(word.Class(), sum);
    }
    sum.private_mids = PrivateMids();
    sum.tree_mid_frames = TreeMids();
    sum.pte_frames = PrivateMids() * abi_.pmds_per_mid;
    return sum;
  }

  Backing LeafBacking(uint64_t leaf) const { return leaves_[leaf].backing; }
  bool MidIsPrivate(uint64_t mid) const { return mids_[mid].is_private; }
  uint64_t PrivateMids() const {
    return std::count_if(mids_.begin(), mids_.end(),
                         [](const Mid& mid) { return mid.is_private; });
  }
  uint64_t TreeMids() const {
    return std::count_if(mids_.begin(), mids_.end(),
                         [](const Mid& mid) { return mid.tree_page; });
  }
  // The pages that the list takes.
  uint64_t Pages() const {
    const uint64_t builder = builder_.size() / Span();
    if (!relocated_) return builder;
    uint64_t leaves = 0;
    for (const Leaf& leaf : leaves_) leaves += leaf.page ? 1 : 0;
    return (tree_built_ ? 7 : 4) + upper_tables_ +
           PrivateMids() * abi_.pmds_per_mid + TreeMids() + leaves +
           (Pae() ? builder : 0);
  }

  // --- Set (p2m.md A6) -------------------------------------------------------

  bool TrySet(uint64_t pfn, P2mWord word) {
    if (pfn >= size_) return word.is_invalid();
    if (!relocated_) {
      builder_[pfn] = word;
      return true;
    }
    Leaf& leaf = leaves_[pfn / Span()];
    switch (leaf.backing) {
      case Backing::kMissing:
        return word.is_invalid();
      case Backing::kIdentity:
        return word == P2mWord::Identity(Pfn(pfn));
      case Backing::kPrivate:
        break;
    }
    leaf.words[pfn % Span()] = word;
    return true;
  }

  // REQUIRES: relocated, pfn < size().
  bool AllocEntry(uint64_t pfn, uint64_t* left) {
    Mid& mid = mids_[pfn / abi_.mid_span()];
    if (!mid.is_private) {
      if (!Take(abi_.pmds_per_mid, left)) return false;
      mid.is_private = true;
      generation_ += 2 * abi_.pmds_per_mid;
    }
    if (!EnsureTreePage(pfn / abi_.mid_span(), left)) return false;
    Leaf& leaf = leaves_[pfn / Span()];
    if (leaf.backing != Backing::kPrivate) {
      if (!Take(1, left)) return false;
      Copy(pfn / Span());
      leaf.page = true;
      generation_ += 2;
    }
    if (pfn >= last_pfn_) last_pfn_ = (pfn / Span() + 1) * Span();
    return true;
  }

  bool Set(uint64_t pfn, P2mWord word, uint64_t* left) {
    if (TrySet(pfn, word)) return true;
    return AllocEntry(pfn, left) && TrySet(pfn, word);
  }

  // The word that `fill` gives to pfn number `offset` of a range that starts at
  // `first`.
  static P2mWord Filled(const P2mList::RangeFill& fill, uint64_t first,
                        uint64_t offset) {
    switch (fill.p2m_class) {
      case P2mClass::kIdentity:
        return P2mWord::Identity(Pfn(first + offset));
      case P2mClass::kRam:
        return P2mWord::Ram(fill.first_mfn + PageCount(offset));
      case P2mClass::kMissing:
      case P2mClass::kForeign:
        break;
    }
    return P2mWord();
  }
  // Set() for `count` pfns; returns how many succeeded.
  uint64_t SetRange(uint64_t first, uint64_t count,
                    const P2mList::RangeFill& fill, uint64_t* left) {
    for (uint64_t i = 0; i < count; ++i) {
      if (!Set(first + i, Filled(fill, first, i), left)) return i;
    }
    return count;
  }
  // The same, without storing the words.
  bool PrepareRange(uint64_t first, uint64_t count,
                    const P2mList::RangeFill& fill, uint64_t* left) {
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t pfn = first + i;
      const bool is_private = LeafBacking(pfn / Span()) == Backing::kPrivate;
      const bool reads = Lookup(pfn) == Filled(fill, first, i);
      if (!is_private && !reads && !AllocEntry(pfn, left)) return false;
    }
    return true;
  }

  // --- What tools see, restore (p2m.md A8, B1, A9) ---------------------------

  bool PublishToTools(uint64_t* left) {
    if (options_.tools_view == ToolsView::kTree) return BuildTree(left);
    if (upper_tables_ == 0) {
      // A level 2 page for 512 PTE pages, and one page of each level above.
      const uint64_t ptes = mids_.size() * abi_.pmds_per_mid;
      const uint64_t pages = (ptes + 511) / 512 + (Pae() ? 1 : 2);
      if (!Take(pages, left)) return false;
      upper_tables_ = pages;
    }
    tools_fresh_ = true;
    generation_ = 0;
    return true;
  }
  bool BuildTree(uint64_t* left) {
    if (!tree_built_ && !Take(3, left)) return false;
    tree_built_ = true;
    for (uint64_t mid = 0; mid < mids_.size(); ++mid) {
      if (!mids_[mid].is_private) continue;
      if (!EnsureTreePage(mid, left)) return false;
      mids_[mid].filled_missing = false;
    }
    tools_fresh_ = true;
    generation_ = 0;
    return true;
  }
  void FramesReplaced() { tools_fresh_ = false; }
  bool HasTreePage(uint64_t mid) const { return mids_[mid].tree_page; }
  // What the slot of a leaf in its mid's tree page names.
  P2mTree::MidSlot SlotOf(uint64_t leaf) const {
    const Backing backing = LeafBacking(leaf);
    if (backing == Backing::kPrivate) return P2mTree::MidSlot::kLeaf;
    const bool missing = backing == Backing::kMissing ||
                         mids_[leaf / abi_.words_per_page].filled_missing;
    return missing ? P2mTree::MidSlot::kMissing : P2mTree::MidSlot::kIdentity;
  }

 private:
  struct Leaf {
    Backing backing = Backing::kMissing;
    bool page = false;           // has its own page, not the builder's
    std::vector<P2mWord> words;  // of a private leaf
  };
  struct Mid {
    bool is_private = false;
    bool tree_page = false;
    bool filled_missing = false;
  };
  struct ExtraChange {
    uint64_t first, end;
    bool added;
  };

  uint64_t Span() const { return abi_.leaf_span(); }
  bool Pae() const { return abi_.arch == Arch::kX86_32Pae; }

  static bool Take(uint64_t pages, uint64_t* left) {
    if (*left < pages) return false;
    *left -= pages;
    return true;
  }
  static uint64_t& CountOf(P2mClass p2m_class, P2mSummary& sum) {
    switch (p2m_class) {
      case P2mClass::kRam:
        return sum.ram;
      case P2mClass::kIdentity:
        return sum.identity;
      case P2mClass::kForeign:
        return sum.foreign;
      case P2mClass::kMissing:
        break;
    }
    return sum.missing;
  }

  // The last change that covers a pfn counts.
  bool InExtra(uint64_t pfn) const {
    for (auto at = extra_.rbegin(); at != extra_.rend(); ++at) {
      if (pfn >= at->first && pfn < at->end) return at->added;
    }
    return false;
  }
  bool ExtraMeets(uint64_t first, uint64_t end) const {
    return std::any_of(extra_.begin(), extra_.end(),
                       [&](const ExtraChange& change) {
                         return change.first < end && change.end > first;
                       });
  }

  // p2m.md A7: the class of one element, where a foreign word counts as RAM;
  // the length of its run, cut at `cap`; and what the leaves of [pfn, pfn +
  // covered) become: shared if `run` reaches that far, else the one leaf is a
  // copy of the builder's words.
  P2mClass ElementClass(uint64_t pfn) const;
  uint64_t ElementRun(uint64_t pfn, P2mClass element, uint64_t cap) const;
  bool ShareOrCopy(uint64_t pfn, uint64_t covered, uint64_t run,
                   P2mClass element, uint64_t* left);
  // Gives a shared leaf its own words, which read the same.
  void Copy(uint64_t leaf) {
    std::vector<P2mWord> words;
    for (uint64_t i = 0; i < Span(); ++i) {
      words.push_back(Lookup(leaf * Span() + i));
    }
    leaves_[leaf].backing = Backing::kPrivate;
    leaves_[leaf].words = std::move(words);
  }
  bool EnsureTreePage(uint64_t mid, uint64_t* left) {
    if (!tree_built_ || mid >= abi_.words_per_page || mids_[mid].tree_page) {
      return true;
    }
    if (!Take(1, left)) return false;
    mids_[mid].tree_page = mids_[mid].filled_missing = true;
    return true;
  }

  const Abi& abi_;
  const P2mOptions options_;
  std::vector<P2mWord> builder_;
  std::vector<ExtraChange> extra_;
  std::vector<Leaf> leaves_;
  std::vector<Mid> mids_;
  uint64_t size_ = 0, max_pfn_ = 0, last_pfn_ = 0;
  uint64_t generation_ = 0;
  uint64_t upper_tables_ = 0;
  bool relocated_ = false, tree_built_ = false, tools_fresh_ = false;
};

}  // namespace simvisor

#include "tests/support/p2m_list_model_relocate.h"

#endif  // SIMVISOR_TESTS_SUPPORT_P2M_LIST_MODEL_H_
