// How many page tables lead to a p2m list (B1).
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_P2M_P2M_TABLES_H_
#define SIMVISOR_DOMAIN_P2M_P2M_TABLES_H_

#include <cstdint>

#include "domain/p2m/page_entries.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor {

inline constexpr uint64_t kEntriesPerTable = kPageSize / kPteBytes;

// Pages of level 2 for an area of whole mids.
constexpr uint64_t LevelTwoPages(const Abi& abi, Pfn area_end) {
  const uint64_t pte_pages =
      area_end.value() / abi.mid_span() * abi.pmds_per_mid;
  return (pte_pages + kEntriesPerTable - 1) / kEntriesPerTable;
}
// All pages above the PTE pages.
constexpr uint64_t UpperTables(const Abi& abi, Pfn area_end) {
  return LevelTwoPages(abi, area_end) + (abi.page_table_levels == 4 ? 2 : 1);
}

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_P2M_TABLES_H_
