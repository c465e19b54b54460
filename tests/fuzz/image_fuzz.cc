// libFuzzer's entry to RestoreBytes(); see scripts/fuzz.sh.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "tests/fuzz/image_restores.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::optional<std::string> wrong = simvisor::RestoreBytes(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  if (wrong.has_value()) {
    std::fprintf(stderr, "%s\n", wrong->c_str());
    std::abort();
  }
  return 0;
}
