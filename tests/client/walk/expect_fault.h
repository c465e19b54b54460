// What tests of walks expect of guests whose lists are broken.

#ifndef SIMVISOR_TESTS_CLIENT_WALK_EXPECT_FAULT_H_
#define SIMVISOR_TESTS_CLIENT_WALK_EXPECT_FAULT_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/walk/p2m_walk.h"

namespace simvisor::client {

// Expects the walk to end with a fault that says all of `parts`.
inline void ExpectFault(const absl::StatusOr<P2mWalk>& walk,
                        const std::vector<std::string>& parts) {
  ASSERT_EQ(walk.status().code(), absl::StatusCode::kFailedPrecondition)
      << walk.status();
  for (const std::string& part : parts) {
    EXPECT_THAT(std::string(walk.status().message()), testing::HasSubstr(part));
  }
}

}  // namespace simvisor::client

#endif  // SIMVISOR_TESTS_CLIENT_WALK_EXPECT_FAULT_H_
