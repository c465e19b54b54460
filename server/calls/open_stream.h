// Starts a call that is an object of its own: takes a place among the open
// calls, or refuses the call.
//
// Thread safety: may be called from any thread.

#ifndef SIMVISOR_SERVER_CALLS_OPEN_STREAM_H_
#define SIMVISOR_SERVER_CALLS_OPEN_STREAM_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/calls/call_runner.h"
#include "server/calls/open_calls.h"
#include "server/calls/rpc_status.h"

namespace simvisor::server {

// Takes a place for a stream; if all are taken, cancels an idle stream for it.
inline absl::StatusOr<OpenCalls::Place> EnterStream(CallRunner& runner,
                                                    const char* method) {
  absl::StatusOr<OpenCalls::Place> place =
      runner.open_calls.Enter(method, CallKind::kStream);
  if (place.ok()) return place;
  // Streams whose clients do not read hold places too.
  runner.messages.unsent().CancelOverdue();
  if (!runner.idle_calls.CancelOldest()) return place;
  return runner.open_calls.EnterInStead(CallKind::kStream);
}

// A call that fails at once.
template <typename Reactor>
class RefusedCall final : public Reactor {
 public:
  explicit RefusedCall(const absl::Status& status) {
    this->Finish(ToGrpcStatus(status));
  }
  void OnDone() override { delete this; }
};

// A call together with its place, which it returns when it is destroyed.
template <typename Call>
class PlacedCall final : public Call {
 public:
  template <typename... Args>
  explicit PlacedCall(OpenCalls::Place place, Args&&... args)
      : Call(std::forward<Args>(args)...), place_(std::move(place)) {}

 private:
  const OpenCalls::Place place_;
};

// Constructs a Call from `args` and starts it, if there is a place.
// Call::Reactor is its gRPC base class; a Call deletes itself in OnDone().
template <typename Call, typename... Args>
typename Call::Reactor* OpenStream(CallRunner* runner, const char* method,
                                   Args&&... args) {
  absl::StatusOr<OpenCalls::Place> place = EnterStream(*runner, method);
  if (!place.ok()) {
    return new RefusedCall<typename Call::Reactor>(place.status());
  }
  auto* const call =
      new PlacedCall<Call>(*std::move(place), std::forward<Args>(args)...);
  call->Start();
  return call;
}

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_OPEN_STREAM_H_
