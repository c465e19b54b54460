// One debug line for each call: method, outcome, time from arrival to answer.
//
// Thread safety: a plain value.

#ifndef SIMVISOR_SERVER_CALL_LOG_H_
#define SIMVISOR_SERVER_CALL_LOG_H_

#include <chrono>

#include "absl/status/status.h"

namespace simvisor::server {

class CallLog {
 public:
  // `method` is a literal.
  explicit CallLog(const char* method)
      : method_(method), start_(std::chrono::steady_clock::now()) {}

  void Finished(const absl::Status& status) const;

 private:
  const char* method_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALL_LOG_H_
