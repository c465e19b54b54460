#include "server/convert/live_migration.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "server/convert/argument.h"

namespace simvisor::server {
namespace {

constexpr uint32_t kMaxPasses = 1000;
constexpr uint64_t kMinBytesPerSecond = kPageSize;
constexpr size_t kMaxIdBytes = 64;

}  // namespace

v1::MigrationState ToProto(SourceState state) {
  switch (state) {
    case SourceState::kCopying:
      return v1::MIGRATION_STATE_COPYING;
    case SourceState::kCommitting:
      return v1::MIGRATION_STATE_COMMITTING;
    case SourceState::kUnknown:
      return v1::MIGRATION_STATE_UNKNOWN;
    case SourceState::kMoved:
      return v1::MIGRATION_STATE_MOVED;
    case SourceState::kKept:
      return v1::MIGRATION_STATE_KEPT;
  }
  return v1::MIGRATION_STATE_UNSPECIFIED;
}

v1::MigrationState ToProto(TargetState state) {
  switch (state) {
    case TargetState::kReceiving:
      return v1::MIGRATION_STATE_RECEIVING;
    case TargetState::kPrepared:
      return v1::MIGRATION_STATE_PREPARED;
    case TargetState::kCommitted:
      return v1::MIGRATION_STATE_COMMITTED;
    case TargetState::kDropped:
      return v1::MIGRATION_STATE_DROPPED;
  }
  return v1::MIGRATION_STATE_UNSPECIFIED;
}

v1::Handover ToProto(Handover handover) {
  switch (handover) {
    case Handover::kNone:
      return v1::HANDOVER_NONE;
    case Handover::kOutgoing:
      return v1::HANDOVER_OUTGOING;
    case Handover::kIncoming:
      return v1::HANDOVER_INCOMING;
  }
  return v1::HANDOVER_UNSPECIFIED;
}

absl::StatusOr<PrecopyPolicy> FromProto(const v1::PrecopyPolicy& policy) {
  SIMVISOR_RETURN_IF_ERROR(
      CheckAtMost("policy.max_passes", policy.max_passes(), kMaxPasses));
  PrecopyPolicy out;
  if (policy.max_passes() > 0) out.max_passes = policy.max_passes();
  if (policy.has_min_dirty_pages()) {
    out.min_dirty = PageCount(policy.min_dirty_pages());
  }
  out.max_bytes_per_second = policy.max_bytes_per_second();
  out.max_downtime_ms = policy.max_downtime_ms();
  if (out.max_bytes_per_second > 0 &&
      out.max_bytes_per_second < kMinBytesPerSecond) {
    return ArgumentMalformed(
        "policy.max_bytes_per_second",
        absl::StrCat(out.max_bytes_per_second, " is less than a page, ",
                     kMinBytesPerSecond, "; name more, or 0 for no limit"));
  }
  return out;
}

absl::Status CheckMigrationId(absl::string_view id) {
  const bool fits =
      !id.empty() && id.size() <= kMaxIdBytes &&
      std::all_of(id.begin(), id.end(), [](char c) {
        return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
      });
  if (fits) return absl::OkStatus();
  return ArgumentMalformed(
      "migration_id", absl::StrCat(Quoted(id), ": an id has 1 to ", kMaxIdBytes,
                                   " characters of a-z, 0-9 and -"));
}

}  // namespace simvisor::server
