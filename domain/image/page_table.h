// Page-table pages on their way into an image and out of it: entries name mfns
// on a machine and pfns in an image.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_IMAGE_PAGE_TABLE_H_
#define SIMVISOR_DOMAIN_IMAGE_PAGE_TABLE_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "domain/units/abi.h"

namespace simvisor {

// What a page number becomes, or why that cannot be.
using MapFrame = absl::FunctionRef<absl::Status(uint64_t from, uint64_t* to)>;

// Rewrites the frame of every present entry of a table of `level`, 1 to 4;
// entries of a 64-bit root that Xen keeps for itself become 0.  `page` has
// kPageSize bytes.  INVALID_ARGUMENT IMAGE_MALFORMED for an entry that maps a
// superpage, or the status of `map`; the page is spoilt then.
// Source: normalise_pagetable(), localise_pagetable().
absl::Status TranslateTable(const Abi& abi, int level, absl::Span<char> page,
                            MapFrame map);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_IMAGE_PAGE_TABLE_H_
