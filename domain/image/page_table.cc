#include "domain/image/page_table.h"

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/image/stream_format.h"
#include "domain/units/units.h"

namespace simvisor {
namespace {

constexpr uint64_t kPresent = 1;
constexpr uint64_t kSuperpage = uint64_t{1} << 7;
constexpr uint64_t kFrameMask = ((uint64_t{1} << 52) - 1) & ~(kPageSize - 1);
constexpr size_t kEntryBytes = 8;

// The entries of a 64-bit root for Xen's own addresses
// (ROOT_PAGETABLE_FIRST_XEN_SLOT to LAST).
constexpr bool IsXenSlot(const Abi& abi, int level, size_t entry) {
  return abi.arch == Arch::kX86_64 && level == 4 && entry >= 256 &&
         entry <= 271;
}

}  // namespace

absl::Status TranslateTable(const Abi& abi, int level, absl::Span<char> page,
                            MapFrame map) {
  for (size_t i = 0; i < page.size() / kEntryBytes; ++i) {
    char* const at = page.data() + i * kEntryBytes;
    const uint64_t entry = LoadLe(at, kEntryBytes);
    if (IsXenSlot(abi, level, i)) {
      StoreLe(0, kEntryBytes, at);
      continue;
    }
    if ((entry & kPresent) == 0) continue;
    if (level > 1 && (entry & kSuperpage) != 0) {
      return MakeError(
          absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
          absl::StrFormat("entry %d of a page table of level %d, 0x%x, maps a "
                          "superpage, which PV guests do not have",
                          i, level, entry),
          {{fact::kValue, Hex(entry)}});
    }
    uint64_t to = 0;
    SIMVISOR_RETURN_IF_ERROR(map((entry & kFrameMask) >> kPageShift, &to));
    StoreLe((entry & ~kFrameMask) | (to << kPageShift & kFrameMask),
            kEntryBytes, at);
  }
  return absl::OkStatus();
}

}  // namespace simvisor
