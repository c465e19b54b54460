// Why a guest does not have its target, in words.
//
// Thread safety: a pure function.

#ifndef SIMVISOR_CLIENT_UI_SHORTFALL_TEXT_H_
#define SIMVISOR_CLIENT_UI_SHORTFALL_TEXT_H_

#include <string>

#include "simvisor/v1/domain_service.pb.h"

namespace simvisor::client {

// Why, when the guest tries again, and what helps; one line without a full
// stop: "the host has no free frame for it; it tries again within 4 s".
// REQUIRES: memory.has_shortfall()
std::string ExplainShortfall(const v1::DomainMemory& memory);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_SHORTFALL_TEXT_H_
