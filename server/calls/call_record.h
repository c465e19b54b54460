// Records that a call is in flight, and when it started.
//
// Thread safety: one thread at a time per object.

#ifndef SIMVISOR_SERVER_CALLS_CALL_RECORD_H_
#define SIMVISOR_SERVER_CALLS_CALL_RECORD_H_

#include <chrono>
#include <memory>

#include "absl/status/status.h"
#include "server/calls/calls_in_flight.h"

namespace simvisor::server {

class CallRecord {
 public:
  // Counts the call in `calls` for the lifetime of this object, unless `calls`
  // is null.  `method` is a literal.
  CallRecord(CallsInFlight* calls, const char* method)
      : counted_(calls),
        method_(method),
        start_(std::chrono::steady_clock::now()) {
    if (calls != nullptr) calls->Begin();
  }

  const char* method() const { return method_; }

  // Writes a debug line: method, outcome, and time since arrival.
  void LogOutcome(const absl::Status& status) const;

 private:
  struct EndCall {
    void operator()(CallsInFlight* calls) const { calls->End(); }
  };

  std::unique_ptr<CallsInFlight, EndCall> counted_;  // borrowed
  const char* method_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_CALL_RECORD_H_
