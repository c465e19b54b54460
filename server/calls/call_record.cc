#include "server/calls/call_record.h"

#include <spdlog/spdlog.h>

#include "base/printable.h"
#include "base/quote.h"
#include "server/calls/rpc_status.h"

namespace simvisor::server {

void CallRecord::LogOutcome(const absl::Status& status) const {
  if (!spdlog::should_log(spdlog::level::debug)) return;
  const auto elapsed = std::chrono::steady_clock::now() - start_;
  spdlog::debug(
      "{}: {} in {} us", method_,
      status.ok() ? "OK"
                  : Shortened(Printable(status.ToString()), kMaxMessageBytes),
      std::chrono::duration_cast<std::chrono::microseconds>(elapsed).count());
}

}  // namespace simvisor::server
