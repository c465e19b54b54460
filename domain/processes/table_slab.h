// The slab that top-level tables come from when they share the kernel's page
// middle directories: 32-byte objects, 128 to a page.
//
// A new object goes into the first free place of the lowest page that has one;
// a page with no object left goes back at once.  Each object has the id of its
// address space, its owner.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_PROCESSES_TABLE_SLAB_H_
#define SIMVISOR_DOMAIN_PROCESSES_TABLE_SLAB_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "domain/p2m/page_source.h"
#include "domain/units/units.h"

namespace simvisor {

class TableSlab {
 public:
  static constexpr uint64_t kObjectBytes = 32;
  static constexpr uint64_t kObjectsPerPage = kPageSize / kObjectBytes;

  struct Place {
    Pfn page;
    uint64_t number = 0;  // of the object in its page
  };

  // Owners of the objects of one page; 0 for a free place.
  using Owners = std::array<uint64_t, kObjectsPerPage>;

  // Makes an object for `owner`, which is not 0; takes a page from `source` if
  // all places are taken, and returns nullopt if `source` has no page.
  std::optional<Place> Add(uint64_t owner, PageSource& source);
  // Makes the object at `place`, whose page becomes the slab's if it is not
  // yet.  Returns false if `place` is taken.
  // REQUIRES: owner is not 0.
  bool AddAt(uint64_t owner, Place place);
  // REQUIRES: `place` is taken.
  void Remove(Place place, PageSource& source);

  // The objects of a page; null if it is not one of the slab's.
  const Owners* Find(Pfn page) const;

  uint64_t objects() const { return objects_; }
  PageCount pages() const { return PageCount(pages_.size()); }
  // Pages that `count` more objects would take.
  PageCount PagesToAdd(uint64_t count) const;

  // Calls visit(page, owners) for all pages, in ascending order.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const auto& [page, slab] : pages_) visit(page, slab->owners);
  }
  // The first of its pages from `pfn` on; None() if there is none.
  Pfn NextFrom(Pfn pfn) const;
  // Whether a page of `pfns` is one of the slab's.
  bool Intersects(PfnExtent pfns) const;

  // Recounts objects and free places.  INTERNAL with a finding.
  absl::Status CheckInvariants() const;

 private:
  struct Slab {
    Owners owners{};
    uint64_t used = 0;
  };

  absl::btree_map<Pfn, std::unique_ptr<Slab>> pages_;
  absl::btree_set<Pfn> partial_;  // pages with a free place
  uint64_t objects_ = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_PROCESSES_TABLE_SLAB_H_
