// libFuzzer's entry to P2mOperations.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "tests/fuzz/p2m_operations.h"

// A failed expectation of the test support code also ends the run.
extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  GTEST_FLAG_SET(break_on_failure, true);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::optional<std::string> difference =
      simvisor::P2mOperations(absl::MakeConstSpan(data, size)).Run();
  if (difference.has_value()) {
    std::fprintf(stderr, "%s\n", difference->c_str());
    std::abort();
  }
  return 0;
}
