// Restores arbitrary bytes, and checks that nothing breaks, that the domain is
// what the bytes say, and that nothing is left behind.

#ifndef SIMVISOR_TESTS_FUZZ_IMAGE_RESTORES_H_
#define SIMVISOR_TESTS_FUZZ_IMAGE_RESTORES_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace simvisor {

// Restores `image` in one piece and in small ones.  A refusal is fine;
// otherwise returns what went wrong: the two outcomes differ, the domain
// differs from a plain reading of the image, the audit has findings, or frames
// or charged memory are missing after the domain is gone.
std::optional<std::string> RestoreBytes(absl::string_view image);

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_FUZZ_IMAGE_RESTORES_H_
