// Restores any bytes, and sees that nothing breaks, that what comes of them is
// what they say, and that nothing is left behind.

#ifndef SIMVISOR_TESTS_FUZZ_IMAGE_RESTORES_H_
#define SIMVISOR_TESTS_FUZZ_IMAGE_RESTORES_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace simvisor {

// Restores `image` in one piece and in small ones; what went wrong, if anything
// but a refusal did: the two differ, the domain is not what a plain reading of
// the image makes of it, the audit has findings, or frames or charged memory
// are missing after the domain has gone.
std::optional<std::string> RestoreBytes(absl::string_view image);

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_FUZZ_IMAGE_RESTORES_H_
