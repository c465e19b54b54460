// A set of pfns, or of mfns, kept as the fewest extents.
//
// Used for room to balloon, a guest's free pages, and the like: cost and memory
// grow with the number of extents, not of pages.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_COLLECTIONS_EXTENT_SET_H_
#define SIMVISOR_DOMAIN_COLLECTIONS_EXTENT_SET_H_

#include <cstddef>

#include "absl/container/btree_map.h"
#include "domain/units/units.h"

namespace simvisor {

template <typename Number>
class ExtentSet {
 public:
  // First number -> one past the last; extents do not touch or overlap.
  using Extents = absl::btree_map<Number, Number>;

  // Adds [extent.first, extent.end()); some or all may be in the set already.
  void Add(Extent<Number> extent);
  // Removes [extent.first, extent.end()); they need not be in the set.
  void Remove(Extent<Number> extent);
  void Clear();

  bool Contains(Number number) const;
  // How many numbers of `extent` are in the set.
  PageCount CountIn(Extent<Number> extent) const;

  PageCount size() const { return size_; }
  bool empty() const { return extents_.empty(); }
  const Extents& extents() const { return extents_; }

  // Removes and returns the lowest consecutive numbers, at most `limit`; empty
  // if the set is empty.
  Extent<Number> TakeLowest(PageCount limit);
  // Likewise the highest consecutive numbers.
  Extent<Number> TakeHighest(PageCount limit);

 private:
  Extents extents_;
  PageCount size_;
};

using PfnSet = ExtentSet<Pfn>;
using MfnSet = ExtentSet<Mfn>;

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_COLLECTIONS_EXTENT_SET_H_
