// Cheap pseudo-random numbers, about a nanosecond each: a 64-bit linear
// congruential generator (Knuth's MMIX) whose upper bits are used.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BENCH_LIBRARY_RANDOM_H_
#define SIMVISOR_BENCH_LIBRARY_RANDOM_H_

#include <cstdint>

namespace simvisor::bench {

constexpr uint64_t NextState(uint64_t state) {
  return state * 6364136223846793005u + 1442695040888963407u;
}

// Advances `state` and returns a number below `end`.
// REQUIRES: end < 2^32.
constexpr uint64_t RandomBelow(uint64_t& state, uint64_t end) {
  state = NextState(state);
  return (state >> 32) * end >> 32;
}

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_LIBRARY_RANDOM_H_
