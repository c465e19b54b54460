#include "domain/units/operation.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace simvisor {

absl::Status Context::Refuse(absl::StatusCode code, Reason reason,
                             absl::string_view details, absl::string_view text,
                             std::initializer_list<Fact> facts) const {
  std::string message(operation_);
  if (!details.empty()) absl::StrAppend(&message, " ", details);
  if (!text.empty()) absl::StrAppend(&message, ": ", text);
  return AddDomain(MakeError(code, reason, message, facts));
}

absl::Status Context::Within(const absl::Status& status) const {
  return AddDomain(simvisor::Within(absl::StrCat(operation_, ": "), status));
}

absl::Status Context::AddDomain(const absl::Status& status) const {
  const std::string name = domain_->name();
  return simvisor::Within(absl::StrCat(DomainText(name, id()), ": "), status,
                          {{fact::kOperation, operation_},
                           {fact::kDomain, name},
                           {fact::kDomid, id().value()}});
}

}  // namespace simvisor
