// The size of the guest in most tests of one domain.

#ifndef SIMVISOR_TESTS_DOMAIN_VM_USUAL_GUEST_H_
#define SIMVISOR_TESTS_DOMAIN_VM_USUAL_GUEST_H_

#include <cstdint>

namespace simvisor {

inline constexpr uint64_t kPages = 3000;
inline constexpr uint64_t kRoom = 1000;  // that it may grow by

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_VM_USUAL_GUEST_H_
