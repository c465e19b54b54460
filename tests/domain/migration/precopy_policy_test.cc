#include "domain/migration/precopy_policy.h"

#include <optional>

#include "gtest/gtest.h"

namespace simvisor {
namespace {

PrecopyStats Stats(uint32_t passes, std::optional<uint64_t> dirty,
                   uint64_t dirty_now = 1000, uint64_t bytes_per_second = 0) {
  PrecopyStats stats;
  stats.passes = passes;
  if (dirty.has_value()) stats.dirty = PageCount(*dirty);
  stats.dirty_now = PageCount(dirty.value_or(dirty_now));
  stats.bytes_per_second = bytes_per_second;
  return stats;
}

TEST(PrecopyPolicyTest, DefaultIsFivePassesOrFewerThanFiftyPages) {
  const PrecopyPolicy policy;
  EXPECT_EQ(DecidePrecopy(policy, Stats(1, std::nullopt)),
            PrecopyDecision::kContinue);
  EXPECT_EQ(DecidePrecopy(policy, Stats(1, 50)), PrecopyDecision::kContinue);
  EXPECT_EQ(DecidePrecopy(policy, Stats(1, 49)), PrecopyDecision::kStop);
  EXPECT_EQ(DecidePrecopy(policy, Stats(4, 1000)), PrecopyDecision::kContinue);
  EXPECT_EQ(DecidePrecopy(policy, Stats(5, std::nullopt)),
            PrecopyDecision::kStop);
}

TEST(PrecopyPolicyTest, PassThatLeavesAsManyPagesDirtyAsItSentDoesNotConverge) {
  PrecopyStats stats = Stats(2, 100);
  stats.pass_pages = PageCount(101);
  EXPECT_TRUE(Converges(stats));
  stats.pass_pages = PageCount(100);
  EXPECT_FALSE(Converges(stats));
  stats.dirty.reset();
  EXPECT_TRUE(Converges(stats));
}

TEST(PrecopyPolicyTest, FewDirtyPagesEndPassesOnlyOnceTheLogReportsThem) {
  // Xen's policy does not know their number before it reads the log.
  EXPECT_EQ(DecidePrecopy(PrecopyPolicy(), Stats(1, std::nullopt, 3)),
            PrecopyDecision::kContinue);
}

TEST(PrecopyPolicyTest, DowntimeEndsPassesOnceTheEstimateIsLowEnough) {
  PrecopyPolicy policy;
  policy.max_downtime_ms = 100;
  // 1000 pages of 4 KiB at 40.96 MB/s take 100 ms.
  EXPECT_EQ(EstimateDowntimeMs(Stats(1, 1000, 0, 40960000)), 100u);
  EXPECT_EQ(DecidePrecopy(policy, Stats(1, 1000, 0, 40960000)),
            PrecopyDecision::kStop);
  EXPECT_EQ(DecidePrecopy(policy, Stats(1, 1011, 0, 40960000)),
            PrecopyDecision::kContinue);
}

TEST(PrecopyPolicyTest, MigrationOverTheDowntimeLimitAbortsAfterTheLastPass) {
  PrecopyPolicy policy;
  policy.max_downtime_ms = 100;
  EXPECT_EQ(DecidePrecopy(policy, Stats(5, std::nullopt, 5000, 40960000)),
            PrecopyDecision::kAbort);
  EXPECT_EQ(DecidePrecopy(policy, Stats(5, std::nullopt, 900, 40960000)),
            PrecopyDecision::kStop);
}

TEST(PrecopyPolicyTest, DowntimeLimitHoldsEvenIfFewPagesAreDirty) {
  PrecopyPolicy policy;
  policy.max_downtime_ms = 100;
  // 40 pages at 1 MB/s take 163 ms.
  EXPECT_EQ(DecidePrecopy(policy, Stats(1, 40, 0, 1000000)),
            PrecopyDecision::kContinue);
  EXPECT_EQ(DecidePrecopy(policy, Stats(5, std::nullopt, 40, 1000000)),
            PrecopyDecision::kAbort);
  EXPECT_EQ(DecidePrecopy(policy, Stats(1, 20, 0, 1000000)),
            PrecopyDecision::kStop);
}

TEST(PrecopyPolicyTest, WithoutMeasuredSpeedNoDowntimeLimitIsMet) {
  PrecopyPolicy policy;
  policy.max_downtime_ms = 1000;
  EXPECT_EQ(DecidePrecopy(policy, Stats(1, 10)), PrecopyDecision::kContinue);
  EXPECT_EQ(DecidePrecopy(policy, Stats(5, std::nullopt, 10)),
            PrecopyDecision::kAbort);
}

}  // namespace
}  // namespace simvisor
