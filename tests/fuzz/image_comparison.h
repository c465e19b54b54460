// Compares a restored domain with its image.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_TESTS_FUZZ_IMAGE_COMPARISON_H_
#define SIMVISOR_TESTS_FUZZ_IMAGE_COMPARISON_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "domain/vm/domain.h"

namespace simvisor {

// The first difference between a domain that has not run since it was restored
// and a plain reading of its image: words, contents of pages, entries of page
// tables, counts and limits.
std::optional<std::string> CompareWithImage(Domain& domain,
                                            absl::string_view image);

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_FUZZ_IMAGE_COMPARISON_H_
