#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/host_testing.h"

namespace simvisor {
namespace {

using testing::IsEmpty;

TEST(HostAuditTest, CountsWhatItLookedAt) {
  const auto host = MakeHost(20000);
  MustCreate(*host, MakeSpec("a", 3000));
  MustCreate(*host, MakeSpec("b", 1000), true);
  const AuditReport report = host->Audit();
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_EQ(report.frames, 20000);
  EXPECT_EQ(report.words, kDom0Pages + 4000);
  EXPECT_EQ(report.domains, 3);
}

}  // namespace
}  // namespace simvisor
