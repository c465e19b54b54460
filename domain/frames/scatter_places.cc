#include "domain/frames/scatter_places.h"

#include <algorithm>
#include <cassert>

namespace simvisor {
namespace {

// One step of splitmix64.
uint64_t NextRandom(uint64_t& state) {
  state += 0x9E3779B97F4A7C15;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

}  // namespace

ScatterPlaces::ScatterPlaces(const std::vector<MfnExtent>& ram, uint64_t seed)
    : state_(seed) {
  uint64_t frames = 0;
  for (const MfnExtent& extent : ram) {
    frames += extent.count.value();
    stretches_.push_back({extent.first, frames});
  }
}

uint64_t ScatterPlaces::IndexOf(Mfn mfn) const {
  const auto behind = std::upper_bound(
      stretches_.begin(), stretches_.end(), mfn,
      [](Mfn m, const Stretch& stretch) { return m < stretch.first; });
  if (behind == stretches_.begin()) return 0;
  const auto stretch = behind - 1;
  const uint64_t first_index =
      stretch == stretches_.begin() ? 0 : (stretch - 1)->end_index;
  return std::min(first_index + (mfn - stretch->first).value(),
                  stretch->end_index);
}

Mfn ScatterPlaces::Next(Mfn first, Mfn end) {
  const uint64_t begin_index = IndexOf(first);
  const uint64_t end_index = IndexOf(end);
  assert(begin_index < end_index);
  // The modulo favours low places by less than one in 2^24, even with 2^40
  // frames.
  const uint64_t index =
      begin_index + NextRandom(state_) % (end_index - begin_index);
  const auto stretch = std::upper_bound(
      stretches_.begin(), stretches_.end(), index,
      [](uint64_t i, const Stretch& s) { return i < s.end_index; });
  const uint64_t first_index =
      stretch == stretches_.begin() ? 0 : (stretch - 1)->end_index;
  return stretch->first + PageCount(index - first_index);
}

}  // namespace simvisor
