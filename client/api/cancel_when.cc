#include "client/api/cancel_when.h"

#include "absl/time/time.h"

namespace simvisor::client {
namespace {

constexpr absl::Duration kAskEvery = absl::Milliseconds(50);

}  // namespace

CancelWhen::CancelWhen(grpc::ClientContext& context,
                       const std::function<bool()>& must_end) {
  if (!must_end) return;
  thread_ = std::thread([this, &context, &must_end] {
    while (!done_.WaitForNotificationWithTimeout(kAskEvery)) {
      if (must_end()) return context.TryCancel();
    }
  });
}

CancelWhen::~CancelWhen() {
  done_.Notify();
  if (thread_.joinable()) thread_.join();
}

}  // namespace simvisor::client
