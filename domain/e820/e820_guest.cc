// The E820 map of a PV guest that sees its host's map (e820_host=1).

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "domain/e820/e820.h"

namespace simvisor {
namespace {

constexpr uint64_t kOneKiB = 1024;
constexpr uint64_t kOneMiB = uint64_t{1} << 20;
constexpr uint64_t kFourGiB = uint64_t{4} << 30;

// The host's non-RAM above 1 MiB.
struct Firmware {
  std::vector<E820Entry> entries;
  uint64_t start = kMaxE820Address;  // the lowest start
};

bool IsHostRam(const E820Entry& entry) {
  return entry.start > kOneMiB && entry.type == E820Type::kRam;
}

Firmware FirmwareOf(const E820Map& host) {
  Firmware firmware;
  for (const E820Entry& entry : host.entries()) {
    if (entry.start <= kOneMiB || entry.type == E820Type::kRam ||
        entry.type == E820Type::kUnusable) {
      continue;
    }
    firmware.start = std::min(firmware.start, entry.start);
    firmware.entries.push_back(entry);
  }
  return firmware;
}

// Fills gaps in the guest's map that are RAM on the host: Linux would use gaps
// for PCI I/O space.
void AddUnusable(const E820Map& host, const Firmware& firmware,
                 uint64_t ram_end, std::vector<E820Entry>& entries) {
  if (ram_end < firmware.start) {
    // One entry up to the firmware, whatever the host has there.
    entries.push_back({ram_end, firmware.start - ram_end, E820Type::kUnusable});
  }
  for (const E820Entry& entry : host.entries()) {
    if (!IsHostRam(entry) || entry.start >= kFourGiB) continue;
    const uint64_t start = std::max(entry.start, ram_end);
    if (start < entry.end()) {
      entries.push_back({start, entry.end() - start, E820Type::kUnusable});
    }
  }
}

}  // namespace

absl::StatusOr<E820Map> GuestE820FromHost(const E820Map& host, PageCount memory,
                                          PageCount max_memory) {
  const PageCount most = std::max(memory, max_memory);
  if (most.value() > kMaxE820Address >> kPageShift) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kE820Malformed,
        absl::StrFormat("E820 map of a guest: %d pages of memory end above "
                        "0x%x, where physical addresses end; ask for less",
                        most.value(), kMaxE820Address),
        {{fact::kRequested, most.value()},
         {fact::kLimit, kMaxE820Address >> kPageShift},
         {fact::kUnit, "pages"}});
  }
  if (memory == PageCount(0)) {
    return MakeError(absl::StatusCode::kInvalidArgument, Reason::kE820Malformed,
                     "E820 map of a guest: its RAM is empty; give it memory");
  }
  const Firmware firmware = FirmwareOf(host);
  const uint64_t ram_end =
      std::min(memory.in_bytes(), firmware.start / kOneKiB * kOneKiB);
  // What was cut off, plus what the guest may be given later.
  const uint64_t moved = most.in_bytes() - ram_end;
  if (moved > kMaxE820Address - kFourGiB) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kE820Malformed,
        absl::StrFormat("E820 map of a guest: %d bytes of memory from 4 GiB on "
                        "end above 0x%x, where physical addresses end; ask for "
                        "less",
                        moved, kMaxE820Address),
        {{fact::kRequested, moved},
         {fact::kLimit, kMaxE820Address - kFourGiB},
         {fact::kUnit, "bytes"}});
  }
  std::vector<E820Entry> entries = {{0, ram_end, E820Type::kRam}};
  AddUnusable(host, firmware, ram_end, entries);
  entries.insert(entries.end(), firmware.entries.begin(),
                 firmware.entries.end());
  entries.push_back({kFourGiB, moved, E820Type::kRam});
  return E820Map::Create(ResolveOverlaps(entries));
}

}  // namespace simvisor
