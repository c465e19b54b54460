#include "bench/baselines/three_level_tree.h"

#include <algorithm>
#include <numeric>
#include <random>

namespace simvisor::bench {
namespace {

// The numbers 0 to count - 1, always in the same shuffled order.
std::vector<uint32_t> Shuffled(uint64_t count) {
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
  return order;
}

}  // namespace

ThreeLevelTree::ThreeLevelTree(uint64_t pages)
    : words_(pages + 2 * kPerPage),
      missing_leaf_(words_.data()),
      identity_leaf_(missing_leaf_ + kPerPage) {
  std::fill_n(words_.data(), words_.size(), kInvalid);
  missing_mid_.fill(missing_leaf_);
  top_.fill(&missing_mid_);
  uint64_t* const leaves = identity_leaf_ + kPerPage;
  uint64_t pfn = 0;
  for (const uint32_t place : Shuffled(pages / kPerPage)) {
    OwnMid(pfn)[pfn / kPerPage % kPerPage] = leaves + place * kPerPage;
    pfn += kPerPage;
  }
}

void ThreeLevelTree::ShareIdentity(uint64_t first, uint64_t end) {
  for (uint64_t pfn = first; pfn < end; pfn += kPerPage) {
    OwnMid(pfn)[pfn / kPerPage % kPerPage] = identity_leaf_;
  }
}

ThreeLevelTree::Mid& ThreeLevelTree::OwnMid(uint64_t pfn) {
  Mid*& mid = top_[pfn / (kPerPage * kPerPage)];
  if (mid == &missing_mid_) {
    mids_.push_back(std::make_unique<Mid>(missing_mid_));
    mid = mids_.back().get();
  }
  return *mid;
}

}  // namespace simvisor::bench
