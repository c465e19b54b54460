// Numbers in the form of the command line.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_UI_QUANTITIES_H_
#define SIMVISOR_CLIENT_UI_QUANTITIES_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "simvisor/v1/common.pb.h"

namespace simvisor::client {

// A page or frame number, or a count: decimal, or hexadecimal after 0x.
// `what` names it in the error, a UsageError().
absl::StatusOr<uint64_t> ParseNumber(absl::string_view what,
                                     absl::string_view text);

// The size of xl's mem-set and mem-max, in pages rounded down: a decimal number
// with the suffix t, g, m, k or b in either case; MiB without.
// A UsageError() "invalid memory size: X" otherwise.
absl::StatusOr<uint64_t> ParseXlMemory(absl::string_view text);

// A number of pages, or a size with one of xl's suffixes that is a whole number
// of pages.  A UsageError() otherwise.
absl::StatusOr<uint64_t> ParsePages(absl::string_view text);

// A number of bytes, or a size with one of xl's suffixes.  A UsageError()
// otherwise.
absl::StatusOr<uint64_t> ParseBytes(absl::string_view text);

// Frames as MFN or MFN+COUNT.  A UsageError() otherwise.
absl::StatusOr<v1::MfnExtent> ParseFrames(absl::string_view text);

// Pages as PFN or PFN+COUNT.  A UsageError() otherwise.
absl::StatusOr<v1::PfnExtent> ParsePfns(absl::string_view text);

// A domain: digits only are a domid, the form of a UUID is one, and anything
// else is a name.  A UsageError() if it is empty, a domid does not fit its
// field, or a name is not UTF-8.
absl::StatusOr<v1::DomainRef> ParseDomain(absl::string_view text);

// "1024 MiB", or "3 pages" if it is not a whole number of MiB.
std::string FormatPages(uint64_t pages);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_QUANTITIES_H_
