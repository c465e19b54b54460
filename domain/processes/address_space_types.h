// How a PAE kernel lays out the address spaces of its processes, and what the
// simulation tells about them.
//
// Thread safety: plain values.

#ifndef SIMVISOR_DOMAIN_PROCESSES_ADDRESS_SPACE_TYPES_H_
#define SIMVISOR_DOMAIN_PROCESSES_ADDRESS_SPACE_TYPES_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "domain/units/units.h"

namespace simvisor {

// Entries of a PAE top-level table, 8 bytes and 1 GiB of addresses each.
inline constexpr size_t kPaeTopEntries = 4;

struct PaeKernel {
  // Whether processes use the kernel's own page middle directories
  // (SHARED_KERNEL_PMD); under Xen each has copies.
  bool shared_kernel_pmd = false;
  // Entries of the top-level table below the kernel's, 1 to 3
  // (USER_PTRS_PER_PGD): 3 GiB, 2 GiB or 1 GiB for processes.
  int user_pgds = 3;

  friend bool operator==(const PaeKernel&, const PaeKernel&) = default;
};

// The pages and bytes that all address spaces of a guest take.
struct AddressSpaceTotals {
  uint64_t spaces = 0;
  bool shared_kernel_pmd = false;
  uint64_t pgd_bytes = 0;  // of one top-level table
  PageCount pgd_frames;    // that hold top-level tables
  PageCount pmd_frames;
  PageCount kernel_pmd_copies;     // of pmd_frames
  uint64_t listed = 0;             // on pgd_list
  uint64_t entries_rewritten = 0;  // since boot, in master and listed tables
};

struct AddressSpaceInfo {
  uint64_t id = 0;
  Mfn pgd;
  uint64_t pgd_offset = 0;  // bytes into its frame
  // None(): the kernel's own, which has no frame.
  std::array<Mfn, kPaeTopEntries> pmds = {Mfn::None(), Mfn::None(), Mfn::None(),
                                          Mfn::None()};
  bool listed = false;  // on pgd_list
};

// The result of a vmalloc_sync_all().
struct AddressSpaceSync {
  uint64_t tables_walked = 0;
  uint64_t entries_rewritten = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_PROCESSES_ADDRESS_SPACE_TYPES_H_
