// Converts page-table pages for an image and back: their entries name mfns on a
// machine and pfns in an image.
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

// Converts a page number; an error says why that is impossible.
using MapFrame = absl::FunctionRef<absl::Status(uint64_t from, uint64_t* to)>;

// Converts the frame of every present entry of a table of `level`, 1 to 4;
// entries of a 64-bit root that Xen keeps for itself become 0.  `page` has
// kPageSize bytes.  INVALID_ARGUMENT IMAGE_MALFORMED for an entry that maps a
// superpage, or the status of `map`; after a failure the page is garbage.
// Source: normalise_pagetable(), localise_pagetable().
absl::Status TranslateTable(const Abi& abi, int level, absl::Span<char> page,
                            MapFrame map);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_IMAGE_PAGE_TABLE_H_
