// The pages that processes of a PAE guest take, page by page.
//
// A second implementation of the rules of AddressSpaces, without its extents
// and slabs: a set of free pages in, sets of taken pages out.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_DOMAIN_MODEL_SPACE_MODEL_H_
#define SIMVISOR_TESTS_DOMAIN_MODEL_SPACE_MODEL_H_

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "domain/processes/address_space_types.h"

namespace simvisor {

class SpaceModel {
 public:
  struct Space {
    uint64_t table = 0;  // page
    uint64_t place = 0;  // of the table in it
    std::vector<uint64_t> pmds;
  };

  explicit SpaceModel(const PaeKernel& kernel) : kernel_(kernel) {}

  const PaeKernel& kernel() const { return kernel_; }
  const std::map<uint64_t, Space>& spaces() const { return spaces_; }
  const std::set<uint64_t>& pages() const { return pages_; }
  uint64_t next_id() const { return next_id_; }
  bool Holds(uint64_t first, uint64_t end) const {
    auto at = pages_.lower_bound(first);
    return at != pages_.end() && *at < end;
  }

  uint64_t PagesFor(uint64_t count) const {
    if (!kernel_.shared_kernel_pmd) return 5 * count;
    uint64_t room = 0;
    for (const auto& [page, used] : slab_) room += 128 - used.size();
    const uint64_t more = count > room ? count - room : 0;
    return count * kernel_.user_pgds + (more + 127) / 128;
  }

  // Returns the pages taken.  `free` must hold enough of them.
  std::vector<uint64_t> Create(uint64_t count, std::set<uint64_t>& free) {
    std::vector<uint64_t> taken;
    const auto take = [&] {
      const uint64_t page = *free.begin();
      free.erase(free.begin());
      pages_.insert(page);
      taken.push_back(page);
      return page;
    };
    for (; count > 0; --count) {
      Space space;
      if (!kernel_.shared_kernel_pmd) {
        space.table = take();
      } else {
        space.table = PartPage();
        if (space.table == kNone) slab_[space.table = take()] = {};
        while (slab_.at(space.table).contains(space.place)) ++space.place;
        slab_.at(space.table).insert(space.place);
      }
      const int pmds = kernel_.shared_kernel_pmd ? kernel_.user_pgds : 4;
      for (int i = 0; i < pmds; ++i) space.pmds.push_back(take());
      spaces_[next_id_++] = space;
    }
    return taken;
  }

  void Destroy(uint64_t id, std::set<uint64_t>& free) {
    const Space space = spaces_.at(id);
    spaces_.erase(id);
    std::vector<uint64_t> given = space.pmds;
    if (!kernel_.shared_kernel_pmd) {
      given.push_back(space.table);
    } else {
      slab_.at(space.table).erase(space.place);
      if (slab_.at(space.table).empty()) {
        slab_.erase(space.table);
        given.push_back(space.table);
      }
    }
    for (const uint64_t page : given) {
      pages_.erase(page);
      free.insert(page);
    }
  }

 private:
  static constexpr uint64_t kNone = ~uint64_t{0};

  // The lowest slab page with a free place.
  uint64_t PartPage() const {
    for (const auto& [page, used] : slab_) {
      if (used.size() < 128) return page;
    }
    return kNone;
  }

  PaeKernel kernel_;
  std::map<uint64_t, Space> spaces_;
  std::map<uint64_t, std::set<uint64_t>> slab_;  // page -> taken places
  std::set<uint64_t> pages_;
  uint64_t next_id_ = 1;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_MODEL_SPACE_MODEL_H_
