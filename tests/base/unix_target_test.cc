#include "base/unix_target.h"

#include "gtest/gtest.h"

namespace simvisor {
namespace {

TEST(UnixTargetTest, PlainPathsStayAsTheyAre) {
  EXPECT_EQ(UnixTarget("/run/user/7/sim-visor_1.sock~"),
            "unix:/run/user/7/sim-visor_1.sock~");
  EXPECT_EQ(UnixTarget("relative.sock"), "unix:relative.sock");
}

TEST(UnixTargetTest, BytesThatMeanSomethingInAUriAreEscaped) {
  EXPECT_EQ(UnixTarget("/a%41#b?c d"), "unix:/a%2541%23b%3Fc%20d");
  EXPECT_EQ(UnixTarget("/\xc3\xa5"), "unix:/%C3%A5");
}

}  // namespace
}  // namespace simvisor
