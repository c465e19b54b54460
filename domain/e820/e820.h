// Memory maps as firmware and hypervisors provide them (E820).
//
// An E820Map holds entries sorted by start and without overlaps; adjacent
// entries of one type are joined as the kernel joins them
// (e820__update_table()).  Gaps are allowed and do not count as RAM.  Entries
// are in bytes and need not be page-aligned: RAM is rounded inwards to pages,
// everything else outwards, as arch/x86/xen/setup.c does.
//
// Thread safety: values, no shared state.

#ifndef SIMVISOR_DOMAIN_E820_E820_H_
#define SIMVISOR_DOMAIN_E820_E820_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/units/units.h"

namespace simvisor {

// Numbered as in the BIOS interface.
enum class E820Type {
  kRam = 1,
  kReserved = 2,
  kAcpi = 3,
  kNvs = 4,
  kUnusable = 5,
};

// "usable", "reserved", "ACPI data", "ACPI NVS", "unusable", as Linux prints
// them.
absl::string_view E820TypeName(E820Type type);

struct E820Entry {
  uint64_t start;  // bytes
  uint64_t size;   // bytes, at least 1
  E820Type type;

  uint64_t end() const { return start + size; }
  friend bool operator==(const E820Entry&, const E820Entry&) = default;
};

// The capacity of libxc's buffers (E820MAX).  A kernel that adds entries of its
// own has room for more.
inline constexpr size_t kMaxE820Entries = 128;
// The highest end of an entry, in bytes: the width of a physical address.
inline constexpr uint64_t kMaxE820Address = uint64_t{1} << 52;

class E820Map {
 public:
  // An empty map.
  E820Map() = default;

  // Sorts, checks and joins `entries`.
  //
  // INVALID_ARGUMENT E820_MALFORMED: no entries, more than kMaxE820Entries, an
  // empty entry, an entry that ends above kMaxE820Address, two entries that
  // overlap, or no whole page of RAM.
  static absl::StatusOr<E820Map> Create(std::vector<E820Entry> entries);

  // The same for `entries` derived from the entries of a map, as kernels derive
  // them: they may be more than kMaxE820Entries.
  static absl::StatusOr<E820Map> CreateDerived(std::vector<E820Entry> entries);

  // The map of a boot log, as ReadBootLog() (boot_log.h) chooses it; errors as
  // for ReadBootLog().
  static absl::StatusOr<E820Map> ParseBootLog(absl::string_view text);

  // One RAM entry [0, pages).
  static E820Map SingleRam(PageCount pages);

  const std::vector<E820Entry>& entries() const { return entries_; }

  // The pages that are entirely RAM, as ascending extents; adjacent entries are
  // merged.
  std::vector<PfnExtent> RamPages() const;

  // The first page past the last entry, rounded up.
  Pfn EndPage() const;

  friend bool operator==(const E820Map&, const E820Map&) = default;

 private:
  // REQUIRES: `entry` starts at or after the end of the last one.
  void Append(const E820Entry& entry);

  std::vector<E820Entry> entries_;
};

// The map of an ordinary PC with `ram` pages: RAM to 636 KiB, a hole to 1 MiB,
// RAM to 3 GiB, firmware up to 4 GiB, and the rest of the RAM from there.  The
// default machine.  INVALID_ARGUMENT MEMORY_SIZE_INVALID below 16 MiB of RAM
// and above 64 TiB.
absl::StatusOr<E820Map> DefaultHostE820(PageCount ram);

// Cleans up entries as a kernel does (e820__update_table()): sorts them, drops
// empty ones, takes the highest type for an address that several entries cover,
// and joins adjacent entries of one type.
// REQUIRES: entries end at or below kMaxE820Address.
std::vector<E820Entry> ResolveOverlaps(const std::vector<E820Entry>& entries);

// The map that libxl gives a PV domain with e820_host=1, as the guest's kernel
// reads it.  RAM [0, memory) is cut at the start of the host's lowest non-RAM
// entry above 1 MiB, rounded down to KiB.  The host's non-RAM entries above 1
// MiB are copied.  Host RAM that begins below 4 GiB and lies above the cut
// becomes unusable, and so does everything between the cut and the first copied
// entry (on a host without such entries, everything above the cut).  What was
// cut off plus (max_memory - memory) becomes RAM from 4 GiB on, whatever the
// host has there.  libxl lets these overlap; a copied or unusable entry then
// takes its addresses from the RAM.  Source: e820_sanitize() in libxl_x86.c;
// p2m.md B3.
//
// INVALID_ARGUMENT E820_MALFORMED if memory is 0, or if the result has too many
// entries or ends above kMaxE820Address.
absl::StatusOr<E820Map> GuestE820FromHost(const E820Map& host, PageCount memory,
                                          PageCount max_memory);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_E820_E820_H_
