// Every interleaving of the steps of a small world.
//
// A world cannot be copied, so each path is taken from the beginning; a state
// that has been seen is not entered again.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_EXPLORER_H_
#define SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_EXPLORER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/domain/smmu/explorer/world.h"

namespace simvisor {

struct Scenario {
  std::string name;
  std::function<std::unique_ptr<World>()> make;
};

struct Exploration {
  uint64_t states = 0;
  uint64_t paths = 0;  // steps that were tried, each from the beginning
  uint64_t ends = 0;   // states in which nothing can happen any more
  // What must not be, and the steps that lead there; empty without.
  std::string violation;
};

// Ends at the first violation.
Exploration Explore(const Scenario& scenario);

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_EXPLORER_H_
