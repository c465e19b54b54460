#include "client/ui/domain_text.h"

#include "absl/strings/str_cat.h"

namespace simvisor::client {

std::string DomainText(absl::string_view name, uint32_t domid) {
  return name.empty() ? absl::StrCat("domain ", domid)
                      : absl::StrCat(name, " (", domid, ")");
}

std::string DomainText(const v1::Domain& domain) {
  return DomainText(domain.name(), domain.domid());
}

std::string DomainText(const v1::DomainRef& ref) {
  if (ref.has_domid()) return DomainText("", ref.domid());
  return ref.has_uuid() ? ref.uuid() : ref.name();
}

}  // namespace simvisor::client
