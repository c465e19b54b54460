// Matchers for absl::Status and StatusOr.
//
//   EXPECT_THAT(pool.Claim(n), IsError(absl::StatusCode::kResourceExhausted,
//                                      Reason::kHostMemoryExhausted,
//                                      HasSubstr("311 of")));

#ifndef SIMVISOR_TESTS_SUPPORT_STATUS_MATCHERS_H_
#define SIMVISOR_TESTS_SUPPORT_STATUS_MATCHERS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/error.h"
#include "gmock/gmock.h"

namespace simvisor {

inline const absl::Status& StatusOf(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

MATCHER(IsOk, "is OK") {
  *result_listener << StatusOf(arg);
  return StatusOf(arg).ok();
}

MATCHER_P3(IsError, code, reason, message,
           "is " + absl::StatusCodeToString(code) + " " +
               std::string(ReasonName(reason)) + " with a message that " +
               testing::DescribeMatcher<std::string>(message)) {
  const absl::Status& status = StatusOf(arg);
  *result_listener << status << " with reason "
                   << ReasonOf(status).value_or("none");
  return status.code() == code &&
         ReasonOf(status) == std::string(ReasonName(reason)) &&
         testing::Matches(message)(std::string(status.message()));
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_STATUS_MATCHERS_H_
