// A p2m list after relocation as plain maps, one pfn at a time.
//
// Follows A6, A7 and A8 of the p2m semantics literally: try-set, else
// alloc-entry (page-table pages, tree page, leaf), else fail.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_P2M_LIST_MODEL_H_
#define SIMVISOR_TESTS_P2M_LIST_MODEL_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "domain/p2m/leaf_map.h"
#include "domain/p2m/page_source.h"
#include "domain/units/abi.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"

namespace simvisor {

// Hands out pages from `first` on, in stretches of at most `longest`, until
// `left` is used up.
class LimitedPages : public PageSource {
 public:
  PfnExtent Take(PageCount count) override {
    const uint64_t n = std::min({count.value(), longest, left});
    const PfnExtent pages = {Pfn(next), PageCount(n)};
    next += n;
    if (n < count.value()) ++next;  // a gap, so stretches do not join
    left -= n;
    taken += n;
    return n == 0 ? PfnExtent{} : pages;
  }
  void Return(PfnExtent pages) override {
    left += pages.count.value();
    taken -= pages.count.value();
  }

  uint64_t next = uint64_t{1} << 32;
  uint64_t longest = ~uint64_t{0};
  uint64_t left = ~uint64_t{0};
  uint64_t taken = 0;
};

class P2mListModel {
 public:
  // `words` below `builder_size`: all of the builder's words that are not
  // IDENTITY(pfn).
  P2mListModel(const Abi& abi, std::map<uint64_t, P2mWord> words, uint64_t size)
      : abi_(abi), words_(std::move(words)), size_(size) {
    std::map<uint64_t, uint64_t> missing, other;  // words by leaf
    for (const auto& [pfn, word] : words_) {
      ++(word.is_invalid() ? missing : other)[pfn / abi_.leaf_span()];
    }
    for (uint64_t leaf = 0; leaf < size_ / abi_.leaf_span(); ++leaf) {
      const uint64_t holes = missing[leaf];
      leaves_[leaf] = other[leaf] > 0             ? Backing::kPrivate
                      : holes == 0                ? Backing::kIdentity
                      : holes == abi_.leaf_span() ? Backing::kMissing
                                                  : Backing::kPrivate;
    }
    const uint64_t per_mid = abi_.words_per_page;
    for (uint64_t mid = 0; mid < size_ / abi_.mid_span(); ++mid) {
      const Backing first = leaves_[mid * per_mid];
      bool uniform = first != Backing::kPrivate;
      for (uint64_t i = 0; i < per_mid; ++i) {
        uniform = uniform && leaves_[mid * per_mid + i] == first;
      }
      if (!uniform) private_mids_.insert(mid);
      if (!uniform && mid < per_mid) tree_mids_.insert(mid);
    }
  }

  uint64_t size() const { return size_; }
  const std::map<uint64_t, P2mWord>& words() const { return words_; }
  const std::set<uint64_t>& private_mids() const { return private_mids_; }
  const std::set<uint64_t>& tree_mids() const { return tree_mids_; }
  Backing LeafBacking(uint64_t leaf) const { return leaves_.at(leaf); }
  uint64_t last_pfn() const { return last_pfn_; }
  void set_last_pfn(uint64_t pfn) { last_pfn_ = pfn; }

  P2mWord Word(uint64_t pfn) const {
    auto at = words_.find(pfn);
    return at == words_.end() ? P2mWord::Identity(Pfn(pfn)) : at->second;
  }

  bool TrySet(uint64_t pfn, P2mWord word) {
    if (pfn >= size_) return word.is_invalid();
    switch (leaves_.at(pfn / abi_.leaf_span())) {
      case Backing::kMissing:
        return word.is_invalid();
      case Backing::kIdentity:
        return word == P2mWord::Identity(Pfn(pfn));
      case Backing::kPrivate:
        break;
    }
    words_.erase(pfn);
    if (word != P2mWord::Identity(Pfn(pfn))) words_[pfn] = word;
    return true;
  }

  // False if pages run out: *left of them are there.
  bool AllocEntry(uint64_t pfn, uint64_t* left) {
    const uint64_t mid = pfn / abi_.mid_span();
    if (!private_mids_.contains(mid)) {
      if (*left < abi_.pmds_per_mid) return false;
      *left -= abi_.pmds_per_mid;
      replaced_ += abi_.pmds_per_mid;
      private_mids_.insert(mid);
    }
    if (!tree_mids_.contains(mid) && mid < abi_.words_per_page) {
      if (*left == 0) return false;
      --*left;
      tree_mids_.insert(mid);
    }
    Backing& leaf = leaves_.at(pfn / abi_.leaf_span());
    if (leaf != Backing::kPrivate) {
      if (*left == 0) return false;
      --*left;
      ++replaced_;
      leaf = Backing::kPrivate;
    }
    if (pfn >= last_pfn_) {
      last_pfn_ = (pfn / abi_.leaf_span() + 1) * abi_.leaf_span();
    }
    return true;
  }

  bool Set(uint64_t pfn, P2mWord word, uint64_t* left) {
    if (TrySet(pfn, word)) return true;
    return AllocEntry(pfn, left) && TrySet(pfn, word);
  }

  // Replaced leaves and page-table pages since the start.
  uint64_t replaced() const { return replaced_; }

 private:
  const Abi& abi_;
  std::map<uint64_t, P2mWord> words_;  // those that are not IDENTITY(pfn)
  uint64_t size_;
  std::map<uint64_t, Backing> leaves_;
  std::set<uint64_t> private_mids_, tree_mids_;
  uint64_t last_pfn_ = 0;
  uint64_t replaced_ = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_P2M_LIST_MODEL_H_
