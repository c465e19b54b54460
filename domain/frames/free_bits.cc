#include "domain/frames/free_bits.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace simvisor {
namespace {

constexpr uint64_t kAllBits = ~uint64_t{0};

// Calls visit(word, mask) for the words that hold bits [first, first + count).
template <typename Visit>
void ForEachWord(uint64_t first, uint64_t count, Visit visit) {
  while (count > 0) {
    const uint64_t bit = first % 64;
    const uint64_t n = std::min(count, 64 - bit);
    visit(first / 64, kAllBits >> (64 - n) << bit);
    first += n;
    count -= n;
  }
}

}  // namespace

FreeBits::FreeBits(bool all_free) {
  words_.fill(all_free ? kAllBits : 0);
  summary_.fill(all_free ? kAllBits : 0);
}

void FreeBits::SetMany(uint64_t first, uint64_t count) {
  ForEachWord(first, count, [this](uint64_t word, uint64_t mask) {
    words_[word] |= mask;
    summary_[word / 64] |= uint64_t{1} << word % 64;
  });
}

void FreeBits::ClearMany(uint64_t first, uint64_t count) {
  ForEachWord(first, count, [this](uint64_t word, uint64_t mask) {
    words_[word] &= ~mask;
    if (words_[word] == 0) summary_[word / 64] &= ~(uint64_t{1} << word % 64);
  });
}

uint64_t FreeBits::NextFree(uint64_t at) const {
  assert(at <= kSize);
  if (at >= kSize) return kSize;
  const uint64_t here = words_[at / 64] & kAllBits << at % 64;
  if (here != 0) return at / 64 * 64 + std::countr_zero(here);
  // The next word that has a bit set.
  const uint64_t next = at / 64 + 1;
  for (uint64_t i = next / 64; i < summary_.size(); ++i) {
    const uint64_t skip = i == next / 64 ? next % 64 : 0;
    const uint64_t some = summary_[i] & kAllBits << skip;
    if (some == 0) continue;
    const uint64_t word = i * 64 + std::countr_zero(some);
    return word * 64 + std::countr_zero(words_[word]);
  }
  return kSize;
}

uint64_t FreeBits::NextTaken(uint64_t at, uint64_t end) const {
  assert(end <= kSize);
  while (at < end) {
    const uint64_t taken = ~words_[at / 64] & kAllBits << at % 64;
    if (taken != 0) {
      return std::min<uint64_t>(at / 64 * 64 + std::countr_zero(taken), end);
    }
    at = (at / 64 + 1) * 64;
  }
  return end;
}

}  // namespace simvisor
