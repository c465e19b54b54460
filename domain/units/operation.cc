#include "domain/units/operation.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace simvisor {

absl::Status Context::Refuse(absl::StatusCode code, Reason reason,
                             absl::string_view details, absl::string_view text,
                             std::initializer_list<Fact> facts) const {
  const std::string name = domain_->name();
  std::string message = absl::StrCat(DomainText(name, id()), ": ", operation_);
  if (!details.empty()) absl::StrAppend(&message, " ", details);
  if (!text.empty()) absl::StrAppend(&message, ": ", text);
  absl::Status status = MakeError(code, reason, message, facts);
  AddFacts(name, status);
  return status;
}

absl::Status Context::Within(const absl::Status& status) const {
  const std::string name = domain_->name();
  return simvisor::Within(
      absl::StrCat(DomainText(name, id()), ": ", operation_, ": "), status,
      {{fact::kOperation, operation_},
       {fact::kDomain, name},
       {fact::kDomid, id().value()}});
}

void Context::AddFacts(absl::string_view name, absl::Status& status) const {
  SetFact({fact::kOperation, operation_}, status);
  SetFact({fact::kDomain, name}, status);
  SetFact({fact::kDomid, id().value()}, status);
}

}  // namespace simvisor
