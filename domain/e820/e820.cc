#include "domain/e820/e820.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace simvisor {
namespace {

constexpr uint64_t kLowRamEnd = 636 << 10;
constexpr uint64_t kHighRamStart = uint64_t{1} << 20;
constexpr uint64_t kFirmwareStart = uint64_t{3} << 30;
constexpr uint64_t kFirmwareEnd = uint64_t{4} << 30;
constexpr PageCount kMinHostRam(16 * kPagesPerMiB);
constexpr PageCount kMaxHostRam(kPagesPerGiB * 64 * 1024);

absl::Status Malformed(absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, Reason::kE820Malformed,
                   what);
}

// Formats an entry like a line of a boot log, where the end is inclusive.
std::string Print(const E820Entry& entry) {
  return absl::StrFormat("[mem 0x%x-0x%x] %s", entry.start, entry.end() - 1,
                         E820TypeName(entry.type));
}

absl::Status CheckEntry(const E820Entry& entry) {
  if (entry.size == 0) {
    return Malformed(
        absl::StrFormat("E820 map: the %s entry at 0x%x is empty; leave it out",
                        E820TypeName(entry.type), entry.start));
  }
  if (entry.start > kMaxE820Address ||
      entry.size > kMaxE820Address - entry.start) {
    return Malformed(absl::StrFormat(
        "E820 map: the %s entry of 0x%x bytes at 0x%x ends above 0x%x, where "
        "physical addresses end; use lower addresses",
        E820TypeName(entry.type), entry.size, entry.start, kMaxE820Address));
  }
  return absl::OkStatus();
}

// REQUIRES: `entries` are sorted by start.
absl::Status CheckDisjoint(const std::vector<E820Entry>& entries) {
  for (size_t i = 1; i < entries.size(); ++i) {
    if (entries[i].start < entries[i - 1].end()) {
      return Malformed(absl::StrFormat(
          "E820 map: %s overlaps %s; keep one entry per address",
          Print(entries[i]), Print(entries[i - 1])));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::string_view E820TypeName(E820Type type) {
  switch (type) {
    case E820Type::kRam:
      return "usable";
    case E820Type::kReserved:
      return "reserved";
    case E820Type::kAcpi:
      return "ACPI data";
    case E820Type::kNvs:
      return "ACPI NVS";
    case E820Type::kUnusable:
      return "unusable";
  }
  return "unknown";
}

absl::StatusOr<E820Map> E820Map::Create(std::vector<E820Entry> entries) {
  if (entries.size() > kMaxE820Entries) {
    return Malformed(absl::StrFormat(
        "E820 map: %d entries, at most %d are allowed; merge neighbours",
        entries.size(), kMaxE820Entries));
  }
  return CreateDerived(std::move(entries));
}

absl::StatusOr<E820Map> E820Map::CreateDerived(std::vector<E820Entry> entries) {
  if (entries.empty()) {
    return Malformed("E820 map: no entries; state at least one of RAM");
  }
  for (const E820Entry& entry : entries) {
    SIMVISOR_RETURN_IF_ERROR(CheckEntry(entry));
  }
  std::sort(
      entries.begin(), entries.end(),
      [](const E820Entry& a, const E820Entry& b) { return a.start < b.start; });
  SIMVISOR_RETURN_IF_ERROR(CheckDisjoint(entries));
  E820Map map;
  for (const E820Entry& entry : entries) map.Append(entry);
  if (map.RamPages().empty()) {
    return Malformed(absl::StrFormat(
        "E820 map: none of the %d entries holds a whole page of RAM; state "
        "where memory is",
        entries.size()));
  }
  return map;
}

void E820Map::Append(const E820Entry& entry) {
  assert(entries_.empty() || entries_.back().end() <= entry.start);
  if (!entries_.empty() && entries_.back().type == entry.type &&
      entries_.back().end() == entry.start) {
    entries_.back().size += entry.size;
  } else {
    entries_.push_back(entry);
  }
}

std::vector<E820Entry> ResolveOverlaps(const std::vector<E820Entry>& entries) {
  std::vector<uint64_t> edges;
  for (const E820Entry& entry : entries) {
    edges.push_back(entry.start);
    edges.push_back(entry.end());
  }
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  std::vector<E820Entry> resolved;
  for (size_t i = 1; i < edges.size(); ++i) {
    const uint64_t start = edges[i - 1];
    std::optional<E820Type> type;  // nullopt in a gap
    for (const E820Entry& entry : entries) {
      if (entry.start > start || entry.end() <= start) continue;
      type = std::max(type.value_or(entry.type), entry.type);
    }
    if (!type.has_value()) continue;
    if (!resolved.empty() && resolved.back().type == *type &&
        resolved.back().end() == start) {
      resolved.back().size += edges[i] - start;
    } else {
      resolved.push_back({start, edges[i] - start, *type});
    }
  }
  return resolved;
}

E820Map E820Map::SingleRam(PageCount pages) {
  E820Map map;
  if (pages.value() > 0) {
    map.entries_.push_back({0, pages.in_bytes(), E820Type::kRam});
  }
  return map;
}

std::vector<PfnExtent> E820Map::RamPages() const {
  std::vector<PfnExtent> pages;
  for (const E820Entry& entry : entries_) {
    if (entry.type != E820Type::kRam) continue;
    const PfnExtent extent =
        ExtentBetween(Pfn((entry.start + kPageSize - 1) >> kPageShift),
                      Pfn(entry.end() >> kPageShift));
    if (!extent.empty()) pages.push_back(extent);
  }
  return pages;
}

Pfn E820Map::EndPage() const {
  if (entries_.empty()) return Pfn(0);
  return Pfn((entries_.back().end() + kPageSize - 1) >> kPageShift);
}

absl::StatusOr<E820Map> DefaultHostE820(PageCount ram) {
  if (ram < kMinHostRam || ram > kMaxHostRam) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kMemorySizeInvalid,
        absl::StrFormat("host memory of %d pages: a host has from %d (16 MiB) "
                        "to %d pages (64 TiB); choose a size between",
                        ram.value(), kMinHostRam.value(), kMaxHostRam.value()),
        {{fact::kRequested, ram.value()},
         {fact::kLimit,
          (ram < kMinHostRam ? kMinHostRam : kMaxHostRam).value()},
         {fact::kUnit, "pages"}});
  }
  const uint64_t above_1mib = ram.in_bytes() - kLowRamEnd;
  const uint64_t below_3gib =
      std::min(above_1mib, kFirmwareStart - kHighRamStart);
  std::vector<E820Entry> entries = {
      {0, kLowRamEnd, E820Type::kRam},
      {kHighRamStart, below_3gib, E820Type::kRam},
      {kFirmwareStart, kFirmwareEnd - kFirmwareStart, E820Type::kReserved}};
  if (above_1mib > below_3gib) {
    entries.push_back({kFirmwareEnd, above_1mib - below_3gib, E820Type::kRam});
  }
  return E820Map::Create(std::move(entries));
}

}  // namespace simvisor
