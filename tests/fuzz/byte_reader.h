// Reads numbers from a string of bytes, for tests that are driven by one.
//
// Past the end every byte reads 0, so any string has a meaning, and a longer
// one goes on where a shorter one ends.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_FUZZ_BYTE_READER_H_
#define SIMVISOR_TESTS_FUZZ_BYTE_READER_H_

#include <cstdint>

#include "absl/types/span.h"

namespace simvisor {

class ByteReader {
 public:
  explicit ByteReader(absl::Span<const uint8_t> bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }

  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const uint8_t byte = rest_.front();
    rest_.remove_prefix(1);
    return byte;
  }
  // A little-endian number of `bytes` bytes.
  uint64_t Number(int bytes) {
    uint64_t number = 0;
    for (int i = 0; i < bytes; ++i) number |= uint64_t{Byte()} << (8 * i);
    return number;
  }
  // A number below `limit`, from as few bytes as possible.
  // REQUIRES: limit > 0.
  uint64_t Below(uint64_t limit) {
    int bytes = 1;
    while (bytes < 8 && (limit - 1) >> (8 * bytes) != 0) ++bytes;
    return Number(bytes) % limit;
  }

 private:
  absl::Span<const uint8_t> rest_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_FUZZ_BYTE_READER_H_
