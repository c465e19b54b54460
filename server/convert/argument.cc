#include "server/convert/argument.h"

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/quote.h"

namespace simvisor::server {
namespace {

absl::Status Invalid(Reason reason, absl::string_view field,
                     absl::string_view problem) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason,
                   absl::StrCat(field, ": ", problem), {{fact::kField, field}});
}

absl::Status TooLarge(absl::string_view field, uint64_t value, uint64_t limit,
                      absl::string_view problem) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kArgumentTooLarge,
      absl::StrCat(field, ": ", value, problem, limit),
      {{fact::kField, field}, {fact::kValue, value}, {fact::kLimit, limit}});
}

}  // namespace

absl::Status ArgumentMissing(absl::string_view field, absl::string_view next) {
  return Invalid(Reason::kArgumentMissing, field,
                 absl::StrCat("not set; ", next));
}

absl::Status ArgumentMalformed(absl::string_view field,
                               absl::string_view problem) {
  return Invalid(Reason::kArgumentMalformed, field, problem);
}

absl::Status UnknownValue(absl::string_view field, int value,
                          absl::string_view values) {
  absl::Status status = ArgumentMalformed(
      field, absl::StrCat("unknown value ", value, "; give ", values));
  SetFact({fact::kValue, value}, status);
  return status;
}

absl::Status BadPageToken(absl::string_view token) {
  return ArgumentMalformed(
      "page_token", absl::StrCat(Quoted(token),
                                 " is not a page token of this daemon; leave "
                                 "it out to begin with the first page"));
}

absl::Status CheckAtMost(absl::string_view field, uint64_t value,
                         uint64_t limit) {
  if (value <= limit) return absl::OkStatus();
  return TooLarge(field, value, limit, " is above the limit of ");
}

absl::Status CheckListSize(absl::string_view field, uint64_t size,
                           uint64_t limit) {
  if (size == 0) return ArgumentMissing(field, "give at least one element");
  if (size <= limit) return absl::OkStatus();
  return TooLarge(field, size, limit,
                  " elements; split the call: the limit is ");
}

}  // namespace simvisor::server
