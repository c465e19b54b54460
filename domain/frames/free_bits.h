// Which frames of one partly free block are free.
//
// One bit per frame, and above it one bit per word that says whether the word
// has any bit set, so the next free frame is found in at most 64 steps.  An
// object is 33 KB; the cells of a fragmented block may take 2 MiB.
//
// Thread safety: thread-compatible; FramePool serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_FRAMES_FREE_BITS_H_
#define SIMVISOR_DOMAIN_FRAMES_FREE_BITS_H_

#include <array>
#include <bit>
#include <cassert>
#include <cstdint>

namespace simvisor {

class FreeBits {
 public:
  // Frames per block; frames are numbered from 0 here.
  static constexpr int kShift = 18;
  static constexpr uint64_t kSize = uint64_t{1} << kShift;

  // All frames free, or all taken.
  explicit FreeBits(bool all_free);

  // Make [first, first + count) free, or taken.
  // REQUIRES: first + count <= kSize.
  void Set(uint64_t first, uint64_t count) {
    assert(first <= kSize && count <= kSize - first);
    if (count != 1) return SetMany(first, count);
    words_[first / 64] |= uint64_t{1} << first % 64;
    summary_[first / 4096] |= uint64_t{1} << first / 64 % 64;
  }
  void Clear(uint64_t first, uint64_t count) {
    assert(first <= kSize && count <= kSize - first);
    if (count != 1) return ClearMany(first, count);
    uint64_t& word = words_[first / 64];
    word &= ~(uint64_t{1} << first % 64);
    if (word == 0) summary_[first / 4096] &= ~(uint64_t{1} << first / 64 % 64);
  }

  // Takes free frames of [at, end), at most `most` of those that share a 64-bit
  // word with `at`.  Returns them as bits; the lowest bit is frame at / 64 *
  // 64.
  // REQUIRES: at < end <= kSize.
  uint64_t TakeBits(uint64_t at, uint64_t end, uint64_t most) {
    assert(at < end && end <= kSize);
    uint64_t& word = words_[at / 64];
    uint64_t taken = word & ~uint64_t{0} << at % 64;
    const uint64_t room = end - at / 64 * 64;
    if (room < 64) taken &= ~(~uint64_t{0} << room);
    while (static_cast<uint64_t>(std::popcount(taken)) > most) {
      taken &= ~(uint64_t{1} << (63 - std::countl_zero(taken)));
    }
    word &= ~taken;
    if (word == 0) summary_[at / 4096] &= ~(uint64_t{1} << at / 64 % 64);
    return taken;
  }

  // The first free frame at or after `at`, else kSize.
  // REQUIRES: at <= kSize.
  uint64_t NextFree(uint64_t at) const;
  // The first taken frame in [at, end), else `end`.
  // REQUIRES: end <= kSize.
  uint64_t NextTaken(uint64_t at, uint64_t end) const;

 private:
  static constexpr uint64_t kWords = kSize / 64;

  void SetMany(uint64_t first, uint64_t count);
  void ClearMany(uint64_t first, uint64_t count);

  std::array<uint64_t, kWords> words_;
  // Bit n is set iff words_[n] is not 0.
  std::array<uint64_t, kWords / 64> summary_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_FREE_BITS_H_
