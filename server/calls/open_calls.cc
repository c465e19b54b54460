#include "server/calls/open_calls.h"

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace simvisor::server {

absl::StatusOr<OpenCalls::Place> OpenCalls::Enter(absl::string_view method,
                                                  CallKind kind) {
  const bool is_stream = kind == CallKind::kStream;
  std::atomic<uint32_t>& own = is_stream ? streams_ : unary_;
  const uint32_t others = is_stream ? 0 : streams_.load();
  const uint32_t limit = is_stream ? limit_ / 2 : limit_;
  Place place(&own);
  if (own.fetch_add(1, std::memory_order_relaxed) + others < limit) {
    return place;
  }
  return MakeError(
      absl::StatusCode::kResourceExhausted, Reason::kCallsExhausted,
      absl::StrCat(method, ": ", limit, is_stream ? " streams" : " calls",
                   " are open, which is the limit; call again when some have "
                   "ended, or raise --max-calls"),
      {{fact::kOperation, method},
       {fact::kLimit, limit},
       {fact::kUnit, is_stream ? "streams" : "calls"}});
}

OpenCalls::Place OpenCalls::EnterInStead(CallKind kind) {
  std::atomic<uint32_t>& own = kind == CallKind::kStream ? streams_ : unary_;
  own.fetch_add(1, std::memory_order_relaxed);
  return Place(&own);
}

}  // namespace simvisor::server
