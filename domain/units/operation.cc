#include "domain/units/operation.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace simvisor {

absl::Status Context::Refuse(absl::StatusCode code, Reason reason,
                             absl::string_view details,
                             absl::string_view text) const {
  std::string message = absl::StrCat("domain ", id_.value(), ": ", operation_);
  if (!details.empty()) absl::StrAppend(&message, " ", details);
  if (!text.empty()) absl::StrAppend(&message, ": ", text);
  return MakeError(code, reason, message);
}

}  // namespace simvisor
