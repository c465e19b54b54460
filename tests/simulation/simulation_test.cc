// Simulations of correct machines find nothing; those of machines that make a
// mistake find it.
//
//   SIMVISOR_SIMULATION_SEED   the only seed to run
//   SIMVISOR_SIMULATION_SEEDS  how many seeds to run, 300 by default
//   SIMVISOR_SIMULATION_STEPS  the least steps of each, 150 by default

#include "tests/simulation/simulation.h"

#include <spdlog/spdlog.h>

#include <cstdlib>
#include <iostream>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace simvisor::server {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* const given = std::getenv(name);
  uint64_t value = 0;
  return given != nullptr && absl::SimpleAtoi(given, &value) ? value
                                                             : otherwise;
}

uint64_t Steps() { return FromEnvironment("SIMVISOR_SIMULATION_STEPS", 150); }

void Add(const SimulationResult& one, SimulationResult& all) {
  all.steps += one.steps;
  all.changes += one.changes;
  all.started += one.started;
  all.moved += one.moved;
  all.failed += one.failed;
  all.unresolved += one.unresolved;
  all.cuts += one.cuts;
  all.deaths += one.deaths;
  all.questions += one.questions;
  all.decisions += one.decisions;
  all.lost += one.lost;
}

void Print(uint64_t seeds, const SimulationResult& all) {
  std::cout << seeds << " seeds, " << all.steps << " steps: " << all.changes
            << " changes of guests; " << all.started << " migrations, of which "
            << all.moved << " moved, " << all.failed << " failed, "
            << all.unresolved << " were unresolved for a while; " << all.cuts
            << " cut streams, " << all.deaths << " deaths, " << all.questions
            << " questions, " << all.decisions << " decisions; " << all.lost
            << " guests died with their machines\n";
}

TEST(SimulationTest, GuestsRunOnceWhateverGoesWrong) {
  spdlog::set_level(spdlog::level::off);
  const uint64_t only = FromEnvironment("SIMVISOR_SIMULATION_SEED", 0);
  const uint64_t first = only == 0 ? 1 : only;
  const uint64_t seeds =
      only == 0 ? FromEnvironment("SIMVISOR_SIMULATION_SEEDS", 300) : 1;
  SimulationResult all;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    const SimulationResult one =
        Simulation(seed, Steps(), Mistake::kNone).Run();
    ASSERT_EQ(one.finding, "") << "SIMVISOR_SIMULATION_SEED=" << seed
                               << " SIMVISOR_SIMULATION_STEPS=" << Steps();
    Add(one, all);
  }
  Print(seeds, all);
  if (only != 0) return;
  // The simulations prove nothing if nothing happens in them.
  EXPECT_GT(all.moved, seeds / 4);
  EXPECT_GT(all.failed, seeds / 4);
  EXPECT_GT(all.questions, seeds / 4);
}

class SimulatedMistakeTest : public testing::TestWithParam<Mistake> {};

TEST_P(SimulatedMistakeTest, IsFound) {
  constexpr uint64_t kMostSeeds = 2000;
  spdlog::set_level(spdlog::level::off);
  for (uint64_t seed = 1; seed <= kMostSeeds; ++seed) {
    const SimulationResult one = Simulation(seed, Steps(), GetParam()).Run();
    if (one.finding.empty()) continue;
    std::cout << "seed " << seed << ", " << one.finding << "\n";
    return;
  }
  FAIL() << "not found with " << kMostSeeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(All, SimulatedMistakeTest,
                         testing::ValuesIn(kAllMistakes),
                         [](const auto& mistake) {
                           return NameOf(mistake.param);
                         });

}  // namespace
}  // namespace simvisor::server
