#include "server/sessions/migration_record.h"

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace simvisor::server {

absl::string_view NameOf(SourceState state) {
  switch (state) {
    case SourceState::kCopying:
      return "COPYING";
    case SourceState::kCommitting:
      return "COMMITTING";
    case SourceState::kUnknown:
      return "UNKNOWN";
    case SourceState::kMoved:
      return "MOVED";
    case SourceState::kKept:
      return "KEPT";
  }
  return "UNSPECIFIED";
}

absl::string_view NameOf(TargetState state) {
  switch (state) {
    case TargetState::kReceiving:
      return "RECEIVING";
    case TargetState::kPrepared:
      return "PREPARED";
    case TargetState::kCommitted:
      return "COMMITTED";
    case TargetState::kDropped:
      return "DROPPED";
  }
  return "UNSPECIFIED";
}

absl::Status UnknownMigration(absl::string_view id) {
  return MakeError(absl::StatusCode::kNotFound, Reason::kMigrationNotFound,
                   absl::StrCat("no migration ", id,
                                " is known here; migrations lists those that "
                                "are"),
                   {{fact::kValue, id}});
}

}  // namespace simvisor::server
