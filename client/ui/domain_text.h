// How notes name a domain.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_UI_DOMAIN_TEXT_H_
#define SIMVISOR_CLIENT_UI_DOMAIN_TEXT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "simvisor/v1/common.pb.h"
#include "simvisor/v1/domain_service.pb.h"

namespace simvisor::client {

// "web (3)"; "domain 3" if the name is empty.
std::string DomainText(absl::string_view name, uint32_t domid);
std::string DomainText(const v1::Domain& domain);

// Of a domain that only the command line names: "domain 3" for a domid,
// otherwise the name or the UUID.
std::string DomainText(const v1::DomainRef& ref);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_DOMAIN_TEXT_H_
