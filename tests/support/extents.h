// Extents, written by their ends.

#ifndef SIMVISOR_TESTS_SUPPORT_EXTENTS_H_
#define SIMVISOR_TESTS_SUPPORT_EXTENTS_H_

#include <cstdint>

#include "domain/units/units.h"

namespace simvisor {

inline PfnExtent Pfns(uint64_t first, uint64_t end) {
  return ExtentBetween(Pfn(first), Pfn(end));
}

inline MfnExtent Frames(uint64_t first, uint64_t end) {
  return ExtentBetween(Mfn(first), Mfn(end));
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_EXTENTS_H_
