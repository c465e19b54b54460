#include "tests/vectors/mmu/mmu_words.h"

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace simvisor {

std::string WordFor(InvalidateReason reason) {
  switch (reason) {
    case InvalidateReason::kUnmap:
      return "unmap";
    case InvalidateReason::kReplace:
      return "replace";
    case InvalidateReason::kProtect:
      return "protect";
    case InvalidateReason::kSuspend:
      return "suspend";
    case InvalidateReason::kMigrate:
      return "migrate";
    case InvalidateReason::kBoot:
      return "boot";
  }
  return "?";
}

std::string WordFor(ReleaseReason reason) {
  switch (reason) {
    case ReleaseReason::kDestroyed:
      return "destroy";
    case ReleaseReason::kMigrated:
      return "migrated";
    case ReleaseReason::kShutdown:
      return "shutdown";
  }
  return "?";
}

std::string WordFor(RetryCause cause) {
  switch (cause) {
    case RetryCause::kInvalidating:
      return "invalidating";
    case RetryCause::kChanged:
      return "changed";
    case RetryCause::kThrottled:
      return "throttled";
  }
  return "?";
}

std::string WordFor(FenceCause cause) {
  switch (cause) {
    case FenceCause::kLease:
      return "lease";
    case FenceCause::kStream:
      return "stream";
    case FenceCause::kProtocol:
      return "protocol";
    case FenceCause::kOperator:
      return "operator";
  }
  return "?";
}

std::string WordFor(SubscriptionState state) {
  switch (state) {
    case SubscriptionState::kLive:
      return "live";
    case SubscriptionState::kDetached:
      return "detached";
    case SubscriptionState::kFenced:
      return "fenced";
    case SubscriptionState::kGone:
      return "gone";
  }
  return "?";
}

std::string WordFor(P2mClass p2m_class) {
  return p2m_class == P2mClass::kMissing ? "missing" : "identity";
}

std::string WordFor(const absl::Status& error) {
  std::string word = absl::StatusCodeToString(error.code());
  std::optional<std::string> reason = ReasonOf(error);
  // The name in the cases differs from the one that the design decides.
  if (reason == "SECONDARY_MMUS_EXHAUSTED") reason = "SECONDARY_MMU_LIMIT";
  if (reason.has_value()) absl::StrAppend(&word, " ", *reason);
  return word;
}

std::optional<InvalidateReason> ReasonNamed(const std::string& word) {
  for (const InvalidateReason reason :
       {InvalidateReason::kUnmap, InvalidateReason::kReplace,
        InvalidateReason::kProtect, InvalidateReason::kSuspend,
        InvalidateReason::kMigrate, InvalidateReason::kBoot}) {
    if (WordFor(reason) == word) return reason;
  }
  return std::nullopt;
}

}  // namespace simvisor
