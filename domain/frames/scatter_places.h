// The places at which scattered frames are looked for.
//
// A reproducible series of RAM frames: the same RAM and seed give the same
// series on every machine and compiler, hence a generator of our own
// (splitmix64 by Steele, Lea and Flood) and no distribution of the standard
// library.  Holes between the RAM are never drawn, so that the frames behind a
// hole are no more likely than others.
//
// Thread safety: thread-compatible; FramePool serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_FRAMES_SCATTER_PLACES_H_
#define SIMVISOR_DOMAIN_FRAMES_SCATTER_PLACES_H_

#include <cstdint>
#include <vector>

#include "domain/units/units.h"

namespace simvisor {

class ScatterPlaces {
 public:
  // `ram`: ascending, disjoint, not empty.
  ScatterPlaces(const std::vector<MfnExtent>& ram, uint64_t seed);

  // The next place.
  Mfn Next();

 private:
  struct Stretch {
    Mfn first;
    uint64_t end_index;  // RAM frames up to its end
  };

  std::vector<Stretch> stretches_;
  uint64_t state_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_SCATTER_PLACES_H_
