// Random calls to a host with many domains, compared with a model of it.

#include "tests/domain/model/host_model.h"

#include <cstdint>
#include <cstdlib>
#include <map>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/random_seed.h"

namespace simvisor {
namespace {

// SIMVISOR_STEPS overrides it.
uint64_t Steps() {
  uint64_t steps = 1000;
  const char* const given = std::getenv("SIMVISOR_STEPS");
  if (given != nullptr && !absl::SimpleAtoi(given, &steps)) ADD_FAILURE();
  return steps;
}

// Failures that thousands of random calls are expected to hit.
constexpr Reason kExpectedFailures[] = {
    Reason::kAddressSpaceNotFound,
    Reason::kArchNotPae,
    Reason::kCpuInvalid,
    Reason::kDom0Protected,
    Reason::kDomainDying,
    Reason::kDomainNotBooted,
    Reason::kDomainNotFound,
    Reason::kDomainNotRunning,
    Reason::kFrameInUse,
    Reason::kFrameNotForeign,
    Reason::kFrameNotOwned,
    Reason::kGuestMemoryExhausted,
    Reason::kHostMemoryExhausted,
    Reason::kMaxMemBelowTarget,
    Reason::kMaxMemExceeded,
    Reason::kMemorySizeInvalid,
    Reason::kMfnOutOfRange,
    Reason::kNameInUse,
    Reason::kPageInUseByKernel,
    Reason::kPfnHoldsForeign,
    Reason::kPfnHoldsRam,
    Reason::kPfnNotBalloonable,
    Reason::kPfnNotForeign,
    Reason::kPfnNotMissing,
    Reason::kPfnNotRam,
    Reason::kPfnOutOfRange,
    Reason::kRangeInvalid,
    Reason::kVcpuOutOfRange,
    Reason::kStaticMaxExceeded,
};

void CallAtRandom(Placement placement) {
  std::map<Reason, int> failures;
  const std::vector<uint64_t> seeds = TestSeeds(2);
  for (const uint64_t seed : seeds) {
    SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", seed));
    HostModel model(seed, placement);
    for (uint64_t step = 0; step < Steps(); ++step) {
      SCOPED_TRACE(absl::StrCat("step ", step));
      model.Step();
      model.CheckSums();
      if (step % 100 == 99) model.CheckEverything();
      if (testing::Test::HasFailure()) return;
    }
    model.CheckEverything();
    model.DestroyAll();
    if (testing::Test::HasFailure()) return;
    for (const auto& [reason, times] : model.failures()) {
      failures[reason] += times;
    }
  }
  if (seeds.size() == 1 || Steps() < 1000) return;
  for (const Reason reason : kExpectedFailures) {
    EXPECT_GT(failures[reason], 0) << ReasonName(reason) << " was never met";
  }
}

TEST(HostModelTest, RandomCallsOnAMachineFilledFromBelow) {
  CallAtRandom(Placement::kLowest);
}

TEST(HostModelTest, RandomCallsOnAMachineFilledAtRandom) {
  CallAtRandom(Placement::kScatter);
}

}  // namespace
}  // namespace simvisor
