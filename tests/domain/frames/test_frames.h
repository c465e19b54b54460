// What tests of frames call their domains, and the size of a block of frames.

#ifndef SIMVISOR_TESTS_DOMAIN_FRAMES_TEST_FRAMES_H_
#define SIMVISOR_TESTS_DOMAIN_FRAMES_TEST_FRAMES_H_

#include <cstdint>

#include "domain/units/units.h"

namespace simvisor {

inline constexpr DomainId kOwner(1);
inline constexpr DomainId kAlice(1);
inline constexpr DomainId kBob(2);

inline constexpr uint64_t kBlock = uint64_t{1} << 18;  // frames in a GiB

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_FRAMES_TEST_FRAMES_H_
