#include "domain/units/domain_identity.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace simvisor {

std::string DomainText(absl::string_view name, DomainId id) {
  return name.empty() ? absl::StrCat("domain ", id.value())
                      : absl::StrCat(name, " (", id.value(), ")");
}

std::string DomainIdentity::name() const {
  absl::MutexLock lock(&mu_);
  return name_;
}

void DomainIdentity::Rename(std::string name) {
  absl::MutexLock lock(&mu_);
  name_ = std::move(name);
}

std::string DomainIdentity::ToString() const { return DomainText(name(), id_); }

}  // namespace simvisor
