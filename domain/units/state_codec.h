// Numbers as bytes, and back: how a guest's kernel notes its state in its own
// pages.
//
// A number below 2^64 takes one byte for each 7 bits, the lowest first, with
// the top bit set in all but the last (LEB128).
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_UNITS_STATE_CODEC_H_
#define SIMVISOR_DOMAIN_UNITS_STATE_CODEC_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "domain/units/units.h"

namespace simvisor {

class StateWriter {
 public:
  void Put(uint64_t number);
  // Byte count, then the bytes.
  void PutBytes(absl::string_view bytes);
  void Put(PfnExtent pfns) {
    Put(pfns.first.value());
    Put(pfns.count.value());
  }

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Reads what a StateWriter wrote, out of bytes that nobody vouches for.  Once a
// read has failed, ok() is false and all others answer 0 or nothing, so callers
// may look at the end alone; loops are bounded by Count().
class StateReader {
 public:
  explicit StateReader(absl::string_view bytes) : rest_(bytes) {}

  // The next number; fails unless it is at most `most`.
  uint64_t Get(uint64_t most = ~uint64_t{0});
  absl::string_view GetBytes();
  // An extent below `end`; fails if it is empty.
  PfnExtent GetPfns(Pfn end);
  // How many items follow; fails for more than the bytes that are left.
  uint64_t GetCount() { return Get(rest_.size()); }

  // What is read makes no sense.
  void Fail() { ok_ = false; }
  bool ok() const { return ok_; }
  // Whether all has been read, without failure.
  bool done() const { return ok_ && rest_.empty(); }

 private:
  absl::string_view rest_;
  bool ok_ = true;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_UNITS_STATE_CODEC_H_
