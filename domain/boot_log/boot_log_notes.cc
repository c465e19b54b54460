#include "domain/boot_log/boot_log_notes.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace simvisor {
namespace {

// Maps of PCs begin at 0, or a few pages higher if firmware keeps those pages.
constexpr uint64_t kLatestStart = uint64_t{64} << 10;

using Notes = std::vector<std::string>;

// Exact, in the largest unit that divides `bytes`.
std::string FormatBytes(uint64_t bytes) {
  if (bytes % (1 << 20) == 0) return absl::StrCat(bytes >> 20, " MiB");
  if (bytes % (1 << 10) == 0) return absl::StrCat(bytes >> 10, " KiB");
  return absl::StrCat(bytes, " bytes");
}

std::string LinesOf(const PrintedMap& map) {
  return absl::StrFormat("lines %d to %d", map.first_line(), map.last_line());
}

std::string RamOf(const PrintedMap& map) {
  const std::optional<uint64_t> bytes = RamBytes(map);
  if (!bytes.has_value()) return "malformed";
  return absl::StrCat(FormatBytes(*bytes), " of RAM");
}

bool Equal(const PrintedMap& a, const PrintedMap& b) {
  const absl::StatusOr<E820Map> map = MakeMap(a);
  const absl::StatusOr<E820Map> other = MakeMap(b);
  return map.ok() && other.ok() && *map == *other;
}

// Adds a note if another boot of the log may have run without a hypervisor.
void NoteFirmwaresMaps(const MapChoice& choice, Notes& notes) {
  size_t count = 0;
  const PrintedMap* last = nullptr;
  for (const PrintedMap& map : choice.maps) {
    if (SourceOf(map) != MapSource::kFirmware) continue;
    ++count;
    last = &map;
  }
  const MapSource source = SourceOf(choice.chosen);
  if (last == nullptr || source >= MapSource::kFirmware) return;
  notes.push_back(absl::StrFormat(
      "the log also has %s of the firmware's (%s%s, %s); %s is used",
      count == 1 ? "a map" : absl::StrCat(count, " maps"),
      count == 1 ? "" : "the last in ", LinesOf(*last), RamOf(*last),
      MapSourceName(source)));
}

// Adds a note if several maps were printed in the same way as the chosen one.
void NoteOtherBoots(const MapChoice& choice, Notes& notes) {
  const PrintedMap& chosen = choice.chosen;
  if (choice.cut != nullptr) {
    notes.push_back(absl::StrFormat(
        "the last map of the log (%s) breaks off; the map of %s begins in the "
        "same way, and is used",
        LinesOf(*choice.cut), LinesOf(chosen)));
    return;
  }
  size_t maps = 1;
  const PrintedMap* other = nullptr;  // the last one that differs
  for (const PrintedMap& map : choice.maps) {
    if (!SamePrinter(map, chosen) || &map == &chosen) continue;
    ++maps;
    if (!Equal(map, chosen)) other = &map;
  }
  if (other != nullptr) {
    notes.push_back(absl::StrFormat(
        "the log has %d boots; the map of the last one is used (%s, %s), not "
        "the map of %s (%s)",
        maps, LinesOf(chosen), RamOf(chosen), LinesOf(*other), RamOf(*other)));
  } else if (maps > 1) {
    notes.push_back(
        absl::StrFormat("the log has %d equal maps; the last one is used (%s)",
                        maps, LinesOf(chosen)));
  }
}

// Adds a note if a later map of the boot has less RAM than the chosen one.
void NoteShrunkMaps(const MapChoice& choice, Notes& notes) {
  const std::string name(MapSourceName(SourceOf(choice.chosen)));
  for (const MapSource source : {MapSource::kDom0, MapSource::kChanged}) {
    const PrintedMap* last = nullptr;
    for (const PrintedMap& map : choice.maps) {
      if (SourceOf(map) == source && IsShrunk(map, choice)) last = &map;
    }
    if (last == nullptr) continue;
    const uint64_t ram = *RamBytes(*last);
    const uint64_t all = *RamBytes(choice.chosen);
    notes.push_back(absl::StrFormat(
        "%s (%s) has %s less RAM than %s, which is used: %s instead of %s",
        MapSourceName(source), LinesOf(*last), FormatBytes(all - ram), name,
        FormatBytes(ram), FormatBytes(all)));
  }
}

// Adds what the log says in words.  A last_pfn below the map's RAM counts only
// if no map shows that limit.
void NoteWords(const MapChoice& choice, Notes& notes) {
  const TrimWords& words = choice.boots.Of(choice.chosen.first_line()).words;
  const Pfn ram_end = MakeMap(choice.chosen)->RamPages().back().end();
  if (notes.empty() && words.last_pfn().has_value() &&
      *words.last_pfn() < ram_end) {
    notes.push_back(absl::StrFormat(
        "the kernel says that its RAM ends at pfn 0x%x (last_pfn); the map is "
        "used whole, whose RAM ends at pfn 0x%x",
        words.last_pfn()->value(), ram_end.value()));
  }
  for (std::string& note : words.Notes()) notes.push_back(std::move(note));
}

// Adds a note if the log lacks the beginning of the chosen map.
void NoteLostBeginning(const PrintedMap& chosen, Notes& notes) {
  uint64_t start = kMaxE820Address;
  for (const PrintedMap::Line& line : chosen.lines) {
    start = std::min(start, line.entry->start);
  }
  if (start <= kLatestStart) return;
  notes.push_back(absl::StrFormat(
      "the map (%s) begins at 0x%x: its first lines seem to be missing in the "
      "log, and so is their RAM in the machine",
      LinesOf(chosen), start));
}

// Whether a boot without the hypervisor shows that the chosen map is complete.
bool IsAsLargeAsTheFirmwares(const MapChoice& choice) {
  const std::optional<uint64_t> ram = RamBytes(choice.chosen);
  return std::any_of(
      choice.maps.begin(), choice.maps.end(), [&ram](const PrintedMap& map) {
        return SourceOf(map) == MapSource::kFirmware && RamBytes(map) == ram;
      });
}

// Adds a note if the chosen map may be less than the machine's.
void NotePartialMap(const MapChoice& choice, Notes& notes) {
  const PrintedMap& chosen = choice.chosen;
  const MapSource source = SourceOf(chosen);
  if (source == MapSource::kDom0 && !IsAsLargeAsTheFirmwares(choice)) {
    const bool kernels = choice.boots.Of(chosen.first_line()).ibft.has_kernel();
    notes.push_back(absl::StrCat(
        kernels ? "the log has no map of the hypervisor's, only dom0's"
                : "the log has only lines \"Xen:\" without a kernel's own "
                  "words, so the map may be either the hypervisor's or dom0's",
        ", whose kernel leaves out RAM that dom0 cannot have: the machine gets "
        "what is left, ",
        RamOf(chosen)));
  } else if (source == MapSource::kChanged) {
    notes.push_back(absl::StrCat(
        "the log has no map as the firmware left it, only one that the kernel "
        "has changed (mem=, memmap=, MTRRs): the machine gets what is left, ",
        RamOf(chosen)));
  }
}

}  // namespace

Notes NotesOn(const MapChoice& choice) {
  Notes notes;
  NoteFirmwaresMaps(choice, notes);
  NoteOtherBoots(choice, notes);
  NoteShrunkMaps(choice, notes);
  NoteWords(choice, notes);
  NoteLostBeginning(choice.chosen, notes);
  NotePartialMap(choice, notes);
  return notes;
}

}  // namespace simvisor
