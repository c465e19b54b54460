// Cancels a call when its caller wants it to end.
//
// Thread safety: thread-compatible; the object owns its thread.

#ifndef SIMVISOR_CLIENT_API_CANCEL_WHEN_H_
#define SIMVISOR_CLIENT_API_CANCEL_WHEN_H_

#include <functional>
#include <thread>

#include "absl/synchronization/notification.h"
#include "grpcpp/client_context.h"

namespace simvisor::client {

class CancelWhen {
 public:
  // Asks `must_end` every 50 ms, on a thread of its own, and cancels the call
  // of `context` once it returns true; does nothing if `must_end` is empty.
  // Both must outlive this object.
  CancelWhen(grpc::ClientContext& context,
             const std::function<bool()>& must_end);
  // From now on, `must_end` is not asked.
  ~CancelWhen();
  CancelWhen(const CancelWhen&) = delete;
  CancelWhen& operator=(const CancelWhen&) = delete;

 private:
  absl::Notification done_;
  std::thread thread_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_CANCEL_WHEN_H_
