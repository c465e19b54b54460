// The epoch of a domain's mappings: it changes when all of the domain's frames
// do, that is when it comes out of an image or from another host.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_GUEST_MAPPING_EPOCH_H_
#define SIMVISOR_DOMAIN_GUEST_MAPPING_EPOCH_H_

#include <cstdint>

namespace simvisor {

// The epoch of a new domain, and the epoch after another.
inline constexpr uint64_t kFirstMappingEpoch = 1;
inline uint64_t MappingEpochAfter(uint64_t epoch) {
  // Clients compare epochs for equality only, so the largest may be followed by
  // the first.
  return epoch == ~uint64_t{0} ? kFirstMappingEpoch : epoch + 1;
}

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_MAPPING_EPOCH_H_
