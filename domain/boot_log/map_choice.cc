#include "domain/boot_log/map_choice.h"

#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"

namespace simvisor {
namespace {

// Every kernel reserves this much for itself.
constexpr uint64_t kNotableBytes = uint64_t{1} << 20;

// Whether `map` is `whole` without its end; the last line of `map` may be cut.
bool BreaksOffIn(const PrintedMap& map, const PrintedMap& whole) {
  size_t lines = map.lines.size();
  if (!map.lines.back().entry.ok()) --lines;
  if (lines == 0 || lines >= whole.lines.size()) return false;
  for (size_t i = 0; i < lines; ++i) {
    const absl::StatusOr<E820Entry>& entry = map.lines[i].entry;
    if (!entry.ok() || !whole.lines[i].entry.ok() ||
        *entry != *whole.lines[i].entry) {
      return false;
    }
  }
  return RamBytes(whole).has_value();
}

// Whether dom0 of `boot` starts with more than `ram` bytes.
bool IsBelowDom0(uint64_t ram, const LogBoot& boot) {
  const std::optional<PageCount> memory = boot.dom0.memory();
  return memory.has_value() && ram + kNotableBytes < memory->in_bytes();
}

}  // namespace

MapSource SourceOf(const PrintedMap& map) {
  switch (map.tag) {
    case MapTag::kHypervisor:
      return map.raw ? MapSource::kRawFirmware : MapSource::kHypervisor;
    case MapTag::kXen:
      return MapSource::kDom0;
    case MapTag::kBios:
      return MapSource::kFirmware;
    case MapTag::kNone:
      return MapSource::kUntagged;
    case MapTag::kUser:
    case MapTag::kModified:
    case MapTag::kExtended:
      return MapSource::kChanged;
  }
  return MapSource::kUntagged;
}

bool SamePrinter(const PrintedMap& a, const PrintedMap& b) {
  return a.tag == b.tag && a.raw == b.raw;
}

absl::StatusOr<E820Map> MakeMap(const PrintedMap& printed) {
  std::vector<E820Entry> entries;
  for (const PrintedMap::Line& line : printed.lines) {
    if (!line.entry.ok()) return line.entry.status();
    if (line.entry->size > 0) entries.push_back(*line.entry);
  }
  absl::StatusOr<E820Map> map = E820Map::Create(std::move(entries));
  if (map.ok()) return map;
  return MakeError(map.status().code(), Reason::kE820Malformed,
                   absl::StrFormat("%s (lines %d to %d of the boot log)",
                                   map.status().message(), printed.first_line(),
                                   printed.last_line()));
}

std::optional<uint64_t> RamBytes(const PrintedMap& map) {
  const absl::StatusOr<E820Map> made = MakeMap(map);
  if (!made.ok()) return std::nullopt;
  uint64_t bytes = 0;
  for (const E820Entry& entry : made->entries()) {
    if (entry.type == E820Type::kRam) bytes += entry.size;
  }
  return bytes;
}

MapChoice ChooseMap(const std::vector<PrintedMap>& maps,
                    const LogBoots& boots) {
  assert(!maps.empty());
  const PrintedMap* last = &maps.front();
  for (const PrintedMap& map : maps) {
    if (SourceOf(map) <= SourceOf(*last)) last = &map;
  }
  const PrintedMap* whole = nullptr;
  for (const PrintedMap& map : maps) {
    if (&map == last) break;
    if (SamePrinter(map, *last) && BreaksOffIn(*last, map)) whole = &map;
  }
  if (whole == nullptr) return {maps, boots, *last, nullptr};
  return {maps, boots, *whole, last};
}

bool IsShrunk(const PrintedMap& map, const MapChoice& choice) {
  const PrintedMap& chosen = choice.chosen;
  const MapSource source = SourceOf(map);
  if (source != MapSource::kDom0 && source != MapSource::kChanged) return false;
  const LogBoot& boot = choice.boots.Of(map.first_line());
  if (map.first_line() <= chosen.first_line() || source == SourceOf(chosen) ||
      &boot != &choice.boots.Of(chosen.first_line())) {
    return false;
  }
  const std::optional<uint64_t> ram = RamBytes(map);
  const std::optional<uint64_t> all = RamBytes(chosen);
  return ram.has_value() && all.has_value() && *ram + kNotableBytes <= *all &&
         !IsBelowDom0(*ram, boot);
}

std::optional<PageCount> CeilingOf(const MapChoice& choice) {
  std::optional<PageCount> ceiling;
  if (SourceOf(choice.chosen) != MapSource::kHypervisor) return ceiling;
  for (const PrintedMap& map : choice.maps) {
    if (SourceOf(map) != MapSource::kDom0 || !IsShrunk(map, choice)) continue;
    ceiling = PageCount(*RamBytes(map) / kPageSize);
  }
  return ceiling;
}

}  // namespace simvisor
