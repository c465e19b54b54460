// Every interleaving of small scenarios, on the library as it is and with each
// seeded mistake.

#include "tests/domain/smmu/explorer/explorer.h"

#include <iostream>
#include <ostream>
#include <string>

#include "domain/smmu/seeded_mistakes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/smmu/explorer/scenarios.h"

namespace simvisor {

inline void PrintTo(const Scenario& scenario, std::ostream* out) {
  *out << scenario.name;
}

namespace {

class ExplorerTest : public testing::TestWithParam<Scenario> {};

TEST_P(ExplorerTest, NothingGoesWrong) {
  const Exploration found = Explore(GetParam());
  EXPECT_EQ(found.violation, "");
  EXPECT_GT(found.ends, 0u);
  std::cout << found.states << " states, " << found.paths << " paths, "
            << found.ends << " ends\n";
}

INSTANTIATE_TEST_SUITE_P(Scenarios, ExplorerTest,
                         testing::ValuesIn(AllScenarios()),
                         [](const auto& scenario) {
                           return scenario.param.name;
                         });

struct MistakeCase {
  SeededMistake mistake;
  const char* name;
};

class SeededMistakesTest : public testing::TestWithParam<MistakeCase> {
 protected:
  ~SeededMistakesTest() override { seeded_mistake = SeededMistake::kNone; }
};

TEST_P(SeededMistakesTest, IsFound) {
  seeded_mistake = GetParam().mistake;
  for (const Scenario& scenario : AllScenarios()) {
    const Exploration found = Explore(scenario);
    if (found.violation.empty()) continue;
    std::cout << scenario.name << " after " << found.states
              << " states: " << found.violation << "\n";
    return;
  }
  FAIL() << GetParam().name << " makes no scenario fail";
}

INSTANTIATE_TEST_SUITE_P(
    Mistakes, SeededMistakesTest,
    testing::Values(
        MistakeCase{SeededMistake::kFreeBeforeAck, "FreeBeforeAck"},
        MistakeCase{SeededMistake::kUnmatchedEnd, "UnmatchedEnd"},
        MistakeCase{SeededMistake::kPriorityLane, "PriorityLane"},
        MistakeCase{SeededMistake::kRenewWhileUnacked, "RenewWhileUnacked"},
        MistakeCase{SeededMistake::kProtectThenSwap, "ProtectThenSwap"},
        MistakeCase{SeededMistake::kInstallAfterLeaving, "InstallAfterLeaving"},
        MistakeCase{SeededMistake::kSeqAfterActive, "SeqAfterActive"},
        MistakeCase{SeededMistake::kBeginWithoutCounter, "BeginWithoutCounter"},
        MistakeCase{SeededMistake::kNoRetryOnSeq, "NoRetryOnSeq"},
        MistakeCase{SeededMistake::kRecordKeptAfterAck, "RecordKeptAfterAck"},
        MistakeCase{SeededMistake::kDrainSkipped, "DrainSkipped"},
        MistakeCase{SeededMistake::kClaimOvertakes, "ClaimOvertakes"},
        MistakeCase{SeededMistake::kFenceKeepsRecords, "FenceKeepsRecords"}),
    [](const auto& mistake) { return std::string(mistake.param.name); });

}  // namespace
}  // namespace simvisor
