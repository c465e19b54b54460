// A permit to store p2m words, for tests of lists and guests that have no
// domain.
//
// Thread safety: immutable.

#ifndef SIMVISOR_TESTS_SUPPORT_CHANGE_PERMIT_H_
#define SIMVISOR_TESTS_SUPPORT_CHANGE_PERMIT_H_

#include "domain/p2m/change_permit.h"

namespace simvisor {

struct ChangePermitForTests {
  static constexpr ChangePermit kMade{};
};

inline constexpr const ChangePermit& kPermit = ChangePermitForTests::kMade;

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_CHANGE_PERMIT_H_
