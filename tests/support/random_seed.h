// The seeds of random tests.

#ifndef SIMVISOR_TESTS_SUPPORT_RANDOM_SEED_H_
#define SIMVISOR_TESTS_SUPPORT_RANDOM_SEED_H_

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "absl/strings/numbers.h"

namespace simvisor {

// Only the seed in the environment variable SIMVISOR_SEED if it is set, else 1
// to `count`.
inline std::vector<uint64_t> TestSeeds(uint64_t count) {
  std::vector<uint64_t> seeds;
  const char* const given = std::getenv("SIMVISOR_SEED");
  uint64_t seed = 0;
  if (given != nullptr && absl::SimpleAtoi(given, &seed)) return {seed};
  for (seed = 1; seed <= count; ++seed) seeds.push_back(seed);
  return seeds;
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_RANDOM_SEED_H_
