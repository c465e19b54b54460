// The places where scattered allocation looks for frames.
//
// A reproducible series of RAM frames: the same RAM and seed give the same
// series on every machine and compiler.  So it uses its own generator
// (splitmix64 by Steele, Lea and Flood) and no distribution of the standard
// library.  Holes between the RAM are never drawn, so the frame after a hole
// is not more likely than others.
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

  // The next place in [first, end), drawn among the RAM frames there.  Every
  // call draws one number of the series, whatever its range.
  // REQUIRES: there is RAM in [first, end).
  Mfn Next(Mfn first, Mfn end);

 private:
  struct Stretch {
    Mfn first;
    uint64_t end_index;  // the number of RAM frames up to its end
  };

  // The number of RAM frames below `mfn`.
  uint64_t IndexOf(Mfn mfn) const;

  std::vector<Stretch> stretches_;
  uint64_t state_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_SCATTER_PLACES_H_
