// Compares two guests in everything that an image carries.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_TESTS_FUZZ_GUEST_DIFFERENCE_H_
#define SIMVISOR_TESTS_FUZZ_GUEST_DIFFERENCE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/types/span.h"
#include "domain/vm/domain.h"

namespace simvisor {

// The first difference in figures, processes, load, words by class, identity
// numbers, or contents of `pages`; nullopt if all are the same.
std::optional<std::string> DifferenceBetween(Domain& a, Domain& b,
                                             absl::Span<const uint64_t> pages);

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_FUZZ_GUEST_DIFFERENCE_H_
