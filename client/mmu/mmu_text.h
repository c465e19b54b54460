// Secondary MMUs in the form of the command line.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_MMU_MMU_TEXT_H_
#define SIMVISOR_CLIENT_MMU_MMU_TEXT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "simvisor/v1/common.pb.h"
#include "simvisor/v1/secondary_mmu_service.pb.h"

namespace simvisor::client {

// Pages as PFN, as LO-HI (both included) or as PFN+COUNT.  A UsageError()
// otherwise, and for an empty range.
absl::StatusOr<v1::PfnExtent> ParsePfnRange(absl::string_view text);

// A time such as 5s or 250ms, in milliseconds that fit a field; `what` names it
// in the error, a UsageError().
absl::StatusOr<uint32_t> ParseMilliseconds(absl::string_view what,
                                           absl::string_view text);

// "0x1c-0x1f", or "0x1c" for one page.
std::string RangeText(uint64_t first, uint64_t count);

// The part of an enum's name after its prefix, such as "unmap" for
// INVALIDATE_REASON_UNMAP.
std::string ShortName(absl::string_view name, absl::string_view prefix);
std::string StateText(v1::SecondaryMmuState state);
std::string RuleText(v1::RetryRule rule);
std::string FilterText(v1::EventFilter filter);

// A message of a subscription: "begin range 1, unmap: 0x1c-0x1f".
std::string EventText(const v1::SubscribeResponse& event);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_MMU_MMU_TEXT_H_
