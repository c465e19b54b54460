// FramePool::Populate(), with all that it gave in one list.

#ifndef SIMVISOR_TESTS_DOMAIN_FRAMES_POPULATE_H_
#define SIMVISOR_TESTS_DOMAIN_FRAMES_POPULATE_H_

#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "domain/frames/frame_pool.h"
#include "domain/units/units.h"

namespace simvisor {

// Extents that were given, each with the pfn of its first frame.
using PopulatedExtents = std::vector<std::pair<Pfn, MfnExtent>>;

inline PopulatedExtents PopulateAll(FramePool& pool, FrameClaim& claim,
                                    DomainId owner, PfnExtent pfns) {
  PopulatedExtents given;
  pool.Populate(claim, owner, pfns,
                [&given](Pfn pfn, absl::Span<const MfnExtent> extents) {
                  for (const MfnExtent& frames : extents) {
                    given.emplace_back(pfn, frames);
                    pfn += frames.count;
                  }
                });
  return given;
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_FRAMES_POPULATE_H_
