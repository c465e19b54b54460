// libFuzzer's entry to RestoreChangedNotes(); see scripts/fuzz.sh.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "absl/types/span.h"
#include "tests/fuzz/notes_restores.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::optional<std::string> wrong =
      simvisor::RestoreChangedNotes(absl::MakeConstSpan(data, size)).wrong;
  if (wrong.has_value()) {
    std::fprintf(stderr, "%s\n", wrong->c_str());
    std::abort();
  }
  return 0;
}
