// Page-table entries, and pages made of little-endian entries.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_P2M_PAGE_ENTRIES_H_
#define SIMVISOR_DOMAIN_P2M_PAGE_ENTRIES_H_

#include <cstdint>

#include "absl/types/span.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor {

// Bytes of a page-table entry, on both ABIs.
inline constexpr uint64_t kPteBytes = 8;

// Entries have the flags that Linux sets and Xen adds.  The kernel of a 64-bit
// PV guest runs in ring 3, so Xen adds the user bit to its entries; to entries
// that name a page it also adds a bit that tells kernel from process entries.
// The kernel of a PAE guest runs in ring 1, which paging treats as supervisor.
// Source: adjust_guest_l1e() and its siblings in arch/x86/pv/mm.h of Xen.

// What Xen adds to an entry that names a page: _PAGE_USER, _PAGE_GUEST_KERNEL.
constexpr uint64_t PtePageBits(const Abi& abi) {
  return abi.page_table_levels == 4 ? (uint64_t{1} << 52) | 0x4 : 0;
}
// _PAGE_KERNEL: present, writable, accessed, dirty, no-execute.
constexpr uint64_t PteReadWriteFlags(const Abi& abi) {
  return PtePageBits(abi) | (uint64_t{1} << 63) | 0x63;
}
// _PAGE_KERNEL_RO, which protects the constant leaves from stray writes.
constexpr uint64_t PteReadOnlyFlags(const Abi& abi) {
  return PtePageBits(abi) | (uint64_t{1} << 63) | 0x61;
}
// _KERNPG_TABLE: an entry that names a page table.
constexpr uint64_t PteTableFlags(const Abi& abi) {
  return abi.page_table_levels == 4 ? 0x67 : 0x63;
}
// The only flag that a PAE top-level entry may have.
inline constexpr uint64_t kPtePresent = 0x1;

constexpr uint64_t PteOf(Mfn frame, uint64_t flags) {
  return (frame.value() << kPageShift) | flags;
}

// Stores entry `index` of `page`.
inline void StoreEntry(absl::Span<char> page, uint64_t entry_bytes,
                       uint64_t index, uint64_t value) {
  char* at = page.data() + index * entry_bytes;
  for (uint64_t i = 0; i < entry_bytes; ++i) {
    at[i] = static_cast<char>(value >> (8 * i));
  }
}

// Stores `value` in every entry of `page`.
inline void FillEntries(absl::Span<char> page, uint64_t entry_bytes,
                        uint64_t value) {
  for (uint64_t i = 0; i < kPageSize / entry_bytes; ++i) {
    StoreEntry(page, entry_bytes, i, value);
  }
}

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_PAGE_ENTRIES_H_
