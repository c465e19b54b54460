// The numbers that differ between the two PV guest ABIs, in one table.
//
// Code takes a `const Abi&` and never writes 512, 1024 or 8 itself.  All spans
// are powers of two and counted in pfns.  Source:
// arch/x86/include/asm/xen/page.h and arch/x86/xen/p2m.c of Linux; the stream
// and page limits are Xen's.
//
// Thread safety: constants.

#ifndef SIMVISOR_DOMAIN_UNITS_ABI_H_
#define SIMVISOR_DOMAIN_UNITS_ABI_H_

#include <algorithm>
#include <bit>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "domain/units/units.h"

namespace simvisor {

enum class Arch { kX86_64, kX86_32Pae };

struct Abi {
  Arch arch;
  absl::string_view name;

  // Bytes of one p2m word as the guest and its tools see it.
  uint64_t word_bytes;
  // P2M_PER_PAGE = P2M_MID_PER_PAGE = P2M_TOP_PER_PAGE.
  uint64_t words_per_page;
  // Entries of one page-table page, 8 bytes each on both ABIs.
  uint64_t ptrs_per_pte;
  // PTE pages that map the list of one mid (PMDS_PER_MID_PAGE).
  uint64_t pmds_per_mid;

  // Flag bits and the empty word as stored in a guest's page.
  uint64_t invalid_word;
  uint64_t foreign_bit;
  uint64_t identity_bit;

  // First pfn that a guest kernel cannot manage (MAXMEM; 64 GiB on PAE).
  uint64_t pfn_limit;
  // Virtual address of pfn 0 in the guest's direct map (PAGE_OFFSET).
  uint64_t direct_map_base;
  // Virtual address of the p2m area, a multiple of 1 GiB because Xen's tools
  // need that.  64-bit: VMALLOC_START.  PAE: the only such address in the
  // kernel's part, although a real kernel has its direct map there.
  uint64_t p2m_area_base;
  // Levels of the guest's page tables.
  int page_table_levels;

  // The most pages that a guest kernel manages; the ceiling of a domU (p2m.md
  // B3).
  uint64_t guest_page_limit;
  // Pages below MAXMEM, the base of the 10x cap on room to balloon.
  uint64_t low_memory_pages;

  // pfns covered by a leaf, by one PTE page of leaves, and by a mid.
  constexpr uint64_t leaf_span() const { return words_per_page; }
  constexpr uint64_t mid_span() const { return leaf_span() * words_per_page; }
  constexpr uint64_t pte_page_span() const { return mid_span() / pmds_per_mid; }
  // First pfn that the frame-list tree cannot name (MAX_P2M_PFN).
  constexpr uint64_t max_p2m_pfn() const { return mid_span() * words_per_page; }
  // How many mfns one moved frame records, after next, target and count
  // (REMAP_SIZE).
  constexpr uint64_t remap_chunk() const { return words_per_page - 3; }
  // Frames in one balloon hypercall (frame_list).
  constexpr uint64_t balloon_batch() const { return words_per_page; }
  // The most pages that a domain may have: Xen counts them in 32 bits, and its
  // kernel manages pfns below pfn_limit.
  constexpr PageCount max_domain_pages() const {
    return std::min(PageCount((uint64_t{1} << 32) - 1), PageCount(pfn_limit));
  }
  // pfns and mfns below this can be stored as plain words.
  constexpr uint64_t plain_word_limit() const { return identity_bit; }
  // CR3 for page tables whose root is in `frame` (xen_pfn_to_cr3()).
  constexpr uint64_t Cr3Of(Mfn frame) const {
    const uint64_t low = frame.value() << kPageShift;
    return page_table_levels == 4 ? low
                                  : (low | frame.value() >> 20) & ~uint32_t{0};
  }
  // The size of the linear area is rounded up to a multiple of this.
  constexpr uint64_t area_align_bytes() const {
    return ptrs_per_pte * kPageSize * pmds_per_mid;
  }
};

inline constexpr Abi kAbiX86_64 = {
    .arch = Arch::kX86_64,
    .name = "x86_64",
    .word_bytes = 8,
    .words_per_page = kPageSize / 8,
    .ptrs_per_pte = 512,
    .pmds_per_mid = 1,
    .invalid_word = ~uint64_t{0},
    .foreign_bit = uint64_t{1} << 63,
    .identity_bit = uint64_t{1} << 62,
    .pfn_limit = uint64_t{1} << 34,
    .direct_map_base = 0xffff888000000000,
    .p2m_area_base = 0xffffc90000000000,
    .page_table_levels = 4,
    .guest_page_limit = uint64_t{1} << 27,
    .low_memory_pages = ~uint64_t{0},
};

inline constexpr Abi kAbiX86_32Pae = {
    .arch = Arch::kX86_32Pae,
    .name = "x86_32_pae",
    .word_bytes = 4,
    .words_per_page = kPageSize / 4,
    .ptrs_per_pte = 512,
    .pmds_per_mid = 2,
    .invalid_word = ~uint32_t{0},
    .foreign_bit = uint64_t{1} << 31,
    .identity_bit = uint64_t{1} << 30,
    .pfn_limit = uint64_t{1} << 24,
    .direct_map_base = 0xc0000000,
    .p2m_area_base = 0xc0000000,
    .page_table_levels = 3,
    .guest_page_limit = uint64_t{1} << 24,
    .low_memory_pages = 0x377fe,
};

// What code that counts in spans and masks flags relies on.
constexpr bool IsSound(const Abi& abi) {
  return std::has_single_bit(abi.words_per_page) &&
         std::has_single_bit(abi.pmds_per_mid) &&
         abi.words_per_page * abi.word_bytes == kPageSize &&
         abi.ptrs_per_pte * 8 == kPageSize &&
         abi.ptrs_per_pte * abi.pmds_per_mid == abi.words_per_page &&
         (abi.identity_bit & abi.foreign_bit) == 0 &&
         abi.identity_bit < abi.foreign_bit &&
         abi.pfn_limit <= abi.plain_word_limit() &&
         abi.p2m_area_base % (uint64_t{1} << 30) == 0;
}
static_assert(IsSound(kAbiX86_64) && IsSound(kAbiX86_32Pae));

constexpr const Abi& AbiOf(Arch arch) {
  return arch == Arch::kX86_64 ? kAbiX86_64 : kAbiX86_32Pae;
}

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_UNITS_ABI_H_
