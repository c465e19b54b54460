// Small worlds to explore.

#ifndef SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_SCENARIOS_H_
#define SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_SCENARIOS_H_

#include <vector>

#include "tests/domain/smmu/explorer/explorer.h"

namespace simvisor {

const std::vector<Scenario>& AllScenarios();

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_SCENARIOS_H_
