#include "server/calls/message_budget.h"

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace simvisor::server {
namespace {

// The part of the budget that messages of this size may fill.
uint64_t ShareOf(uint64_t bytes, uint64_t limit) {
  if (bytes <= MessageBudget::kSmallBytes) return limit;
  if (bytes <= MessageBudget::kMediumBytes) return limit / 4 * 3;
  return limit / 2;
}

}  // namespace

absl::Status MessageBudget::Add(absl::string_view what, uint64_t bytes,
                                Charge* charge) {
  const uint64_t share = ShareOf(charge->bytes_ + bytes, limit_);
  const uint64_t before = used_->fetch_add(bytes, std::memory_order_relaxed);
  if (before + bytes <= share) {
    if (charge->used_ == nullptr) charge->used_ = used_;
    charge->bytes_ += bytes;
    return absl::OkStatus();
  }
  used_->fetch_sub(bytes, std::memory_order_relaxed);
  unsent_.CancelOverdue();
  return MakeError(
      absl::StatusCode::kResourceExhausted, Reason::kMessageMemoryExhausted,
      absl::StrCat(what, ": a message of ", charge->bytes_ + bytes,
                   " bytes does not fit: messages of its size may fill ", share,
                   " bytes, and ", before,
                   " are taken; call again when other calls have ended, or "
                   "raise --max-message-memory"),
      {{fact::kOperation, what},
       {fact::kRequested, charge->bytes_ + bytes},
       {fact::kAvailable, share - std::min<uint64_t>(share, before)},
       {fact::kLimit, share},
       {fact::kUnit, "bytes"}});
}

void MessageBudget::AddAlways(uint64_t bytes, Charge* charge) {
  used_->fetch_add(bytes, std::memory_order_relaxed);
  if (charge->used_ == nullptr) charge->used_ = used_;
  charge->bytes_ += bytes;
}

}  // namespace simvisor::server
