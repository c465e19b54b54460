// The names of arguments in errors about fields.
//
// The daemon names what is wrong by its field in the request, such as
// "rule.error.code"; who types a command line knows the field as an argument,
// such as "--error".
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_SESSION_FIELD_NAMES_H_
#define SIMVISOR_CLIENT_SESSION_FIELD_NAMES_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace simvisor::client {

// A field of a command's request, by its path, and the argument of the command
// that fills it in.
struct FieldName {
  absl::string_view field;
  absl::string_view argument;
};

// `status` with the argument's name at the beginning of its message if that
// begins with the field that the error is about, or with a part of the field:
// "extents[3].count: ..." becomes "MFN[3].count: ...".  Any other status as it
// is.  Metadata keep the field.
absl::Status NameArgument(absl::Span<const FieldName> names,
                          const absl::Status& status);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SESSION_FIELD_NAMES_H_
