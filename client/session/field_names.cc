#include "client/session/field_names.h"

#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "client/api/error.h"

namespace simvisor::client {
namespace {

// Whether `path` is `field` or a part of it.
bool IsWithin(absl::string_view path, absl::string_view field) {
  return absl::ConsumePrefix(&path, field) &&
         (path.empty() || path.front() == '.' || path.front() == '[');
}

}  // namespace

absl::Status NameArgument(absl::Span<const FieldName> names,
                          const absl::Status& status) {
  if (status.ok()) return status;
  const std::map<std::string, std::string> metadata = MetadataOf(status);
  const auto found = metadata.find(std::string(fact::kField));
  if (found == metadata.end() ||
      !absl::StartsWith(status.message(), found->second)) {
    return status;
  }
  for (const FieldName& name : names) {
    if (!IsWithin(found->second, name.field)) continue;
    return WithMessage(
        status, absl::StrCat(name.argument,
                             status.message().substr(name.field.size())));
  }
  return status;
}

}  // namespace simvisor::client
