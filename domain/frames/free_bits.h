// Which frames of one block are free, while some are and some are not.
//
// One bit per frame, and above it one bit per word that says whether the word
// has any, so the next free frame is found in at most 64 steps.  An object is
// 33 KB, against the 2 MiB of cells that a block in pieces may take.
//
// Thread safety: thread-compatible; FramePool serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_FRAMES_FREE_BITS_H_
#define SIMVISOR_DOMAIN_FRAMES_FREE_BITS_H_

#include <array>
#include <cstdint>

namespace simvisor {

class FreeBits {
 public:
  // Frames of a block; they are numbered from 0 here.
  static constexpr int kShift = 18;
  static constexpr uint64_t kSize = uint64_t{1} << kShift;

  // All free, or none.
  explicit FreeBits(bool all_free);

  // Makes [first, first + count) free, or not free.
  // REQUIRES: first + count <= kSize.
  void Set(uint64_t first, uint64_t count);
  void Clear(uint64_t first, uint64_t count);

  // The first free frame at or behind `at`; kSize if there is none.
  // REQUIRES: at <= kSize.
  uint64_t NextFree(uint64_t at) const;
  // The first frame in [at, end) that is not free; `end` if there is none.
  // REQUIRES: end <= kSize.
  uint64_t NextTaken(uint64_t at, uint64_t end) const;

 private:
  static constexpr uint64_t kWords = kSize / 64;

  std::array<uint64_t, kWords> words_;
  // Bit n is set iff words_[n] is not 0.
  std::array<uint64_t, kWords / 64> summary_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_FREE_BITS_H_
