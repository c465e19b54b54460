// What an image has said about each pfn so far.
//
// Memory follows the number of stretches of equal pfns, not the size of the
// guest: pages usually come in order and in kind.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_IMAGE_PAGE_TYPES_H_
#define SIMVISOR_DOMAIN_IMAGE_PAGE_TYPES_H_

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "domain/image/stream_format.h"
#include "domain/units/compact_words.h"
#include "domain/units/units.h"

namespace simvisor {

class PageTypes {
 public:
  // For pfns below `end`; none has been named.
  // RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED.
  static absl::StatusOr<PageTypes> Create(Pfn end);

  Pfn end() const { return end_; }

  // The type sent last; kAbsent if the pfn was never named.
  PageType TypeOf(Pfn pfn) const;
  // Whether the restorer has given it a frame: one stays when the page is sent
  // as absent later.
  bool IsPopulated(Pfn pfn) const;

  // Notes that `pfns` were sent as `type`.  REQUIRES: pfns end at or below
  // end().
  void Set(PfnExtent pfns, PageType type);

 private:
  PageTypes(Pfn end, CompactWords cells)
      : end_(end), cells_(std::move(cells)) {}

  Pfn end_;
  CompactWords cells_;  // 0: never named
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_IMAGE_PAGE_TYPES_H_
