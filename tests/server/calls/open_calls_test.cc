#include "server/calls/open_calls.h"

#include <vector>

#include "absl/status/status.h"
#include "base/error.h"
#include "gtest/gtest.h"

namespace simvisor::server {
namespace {

TEST(OpenCallsTest, StreamsTakeHalfAtMost) {
  OpenCalls calls(10);
  std::vector<OpenCalls::Place> places;
  for (int i = 0; i < 5; ++i) {
    auto place = calls.Enter("List", CallKind::kStream);
    ASSERT_TRUE(place.ok()) << i;
    places.push_back(*std::move(place));
  }
  const auto refused = calls.Enter("List", CallKind::kStream);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused.status()), "CALLS_EXHAUSTED");

  for (int i = 0; i < 5; ++i) {
    auto place = calls.Enter("Get", CallKind::kUnary);
    ASSERT_TRUE(place.ok()) << i;
    places.push_back(*std::move(place));
  }
  EXPECT_FALSE(calls.Enter("Get", CallKind::kUnary).ok());
  EXPECT_EQ(calls.count(), 10u);
  places.pop_back();
  EXPECT_TRUE(calls.Enter("Get", CallKind::kUnary).ok());
  places.clear();
  EXPECT_EQ(calls.count(), 0u);
}

TEST(OpenCallsTest, ACallMayTakeThePlaceOfOneThatEnds) {
  OpenCalls calls(2);
  auto first = calls.Enter("List", CallKind::kStream);
  ASSERT_TRUE(first.ok());
  const OpenCalls::Place second = calls.EnterInStead(CallKind::kStream);
  EXPECT_EQ(calls.count(), 2u);
  first->reset();
  EXPECT_FALSE(calls.Enter("List", CallKind::kStream).ok());
}

}  // namespace
}  // namespace simvisor::server
