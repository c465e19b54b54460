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
  const char* scenario;
  const char* violation;  // a part of it
};

const MistakeCase kMistakes[] = {
    {SeededMistake::kFreeBeforeAck, "FreeBeforeAck", "BalloonDownAndUp",
     "a record names mfn"},
    {SeededMistake::kUnmatchedEnd, "UnmatchedEnd", "TwoChangesOfTheSamePages",
     "is never told of the close of range"},
    {SeededMistake::kPriorityLane, "PriorityLane", "BalloonDownAndUp",
     "a client has mfn"},
    {SeededMistake::kRenewWhileUnacked, "RenewWhileUnacked",
     "StuckClientThatRenews", "has waited for a lease"},
    {SeededMistake::kProtectThenSwap, "ProtectThenSwap", "LoggedWrites",
     "the log misses it"},
    {SeededMistake::kInstallAfterLeaving, "InstallAfterLeaving",
     "LeavingClient", "a client has mfn"},
    {SeededMistake::kSeqAfterActive, "SeqAfterActive", "FaultsInTwoSteps",
     "a record names mfn"},
    {SeededMistake::kBeginWithoutCounter, "BeginWithoutCounter",
     "BalloonDownAndUp", "mfn"},
    {SeededMistake::kNoRetryOnSeq, "NoRetryOnSeq", "FaultsInTwoSteps",
     "a record names mfn"},
    {SeededMistake::kRecordKeptAfterAck, "RecordKeptAfterAck",
     "BalloonDownAndUp", "a record names mfn"},
    {SeededMistake::kDrainSkipped, "DrainSkipped", "RegistrationAmongChanges",
     "is told that no range is open, and one is"},
    {SeededMistake::kClaimOvertakes, "ClaimOvertakes",
     "RegistrationAmongChanges", "which came first"},
    {SeededMistake::kFenceKeepsRecords, "FenceKeepsRecords",
     "StuckClientThatRenews", "it has ended, but maps"},
};

class SeededMistakesTest : public testing::TestWithParam<MistakeCase> {
 protected:
  ~SeededMistakesTest() override { seeded_mistake = SeededMistake::kNone; }
};

// Its scenario finds nothing without the mistake: see ExplorerTest.
TEST_P(SeededMistakesTest, IsFound) {
  for (const Scenario& scenario : AllScenarios()) {
    if (scenario.name != GetParam().scenario) continue;
    seeded_mistake = GetParam().mistake;
    const Exploration found = Explore(scenario);
    EXPECT_THAT(found.violation, testing::HasSubstr(GetParam().violation));
    std::cout << "after " << found.states << " states: " << found.violation
              << "\n";
    return;
  }
  FAIL() << "there is no scenario " << GetParam().scenario;
}

INSTANTIATE_TEST_SUITE_P(Mistakes, SeededMistakesTest,
                         testing::ValuesIn(kMistakes), [](const auto& mistake) {
                           return std::string(mistake.param.name);
                         });

}  // namespace
}  // namespace simvisor
