#include "domain/guest/boot_log.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "domain/guest/dom0_log.h"
#include "domain/guest/dom0_map.h"
#include "domain/guest/log_text.h"
#include "domain/guest/printed_maps.h"
#include "domain/guest/trim_words.h"
#include "domain/units/error.h"
#include "domain/units/status_macros.h"

namespace simvisor {
namespace {

// Less RAM than this is what any kernel takes out for its own purposes.
constexpr uint64_t kNotableBytes = uint64_t{1} << 20;

absl::Status Malformed(absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, Reason::kE820Malformed,
                   absl::StrCat("E820 map: ", what));
}

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

// Exact, in the largest unit that it is a whole number of.
std::string FormatBytes(uint64_t bytes) {
  if (bytes % (1 << 20) == 0) return absl::StrCat(bytes >> 20, " MiB");
  if (bytes % (1 << 10) == 0) return absl::StrCat(bytes >> 10, " KiB");
  return absl::StrCat(bytes, " bytes");
}

std::string LinesOf(const PrintedMap& map) {
  return absl::StrFormat("lines %d to %d", map.first_line(), map.last_line());
}

// The last map of the source that is preferred.  REQUIRES: there are maps.
const PrintedMap& Choose(const std::vector<PrintedMap>& maps) {
  const PrintedMap* chosen = &maps.front();
  for (const PrintedMap& map : maps) {
    if (SourceOf(map) <= SourceOf(*chosen)) chosen = &map;
  }
  return *chosen;
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
                   absl::StrCat(map.status().message(), " (", LinesOf(printed),
                                " of the boot log)"));
}

// Says so if `chosen` is one of several that were printed the same way, or if
// another boot of the log may have had no hypervisor.
void NoteOtherBoots(const std::vector<PrintedMap>& maps,
                    const PrintedMap& chosen, std::vector<std::string>& notes) {
  size_t boots = 0;
  const PrintedMap* other = nullptr;
  for (const PrintedMap& map : maps) {
    if (map.tag != chosen.tag || map.raw != chosen.raw) continue;
    ++boots;
    if (&map != &chosen) other = &map;
  }
  for (const PrintedMap& map : maps) {
    if (SourceOf(map) != MapSource::kFirmware ||
        SourceOf(chosen) >= MapSource::kFirmware) {
      continue;
    }
    notes.push_back(absl::StrFormat(
        "the log also has a map of the firmware's (%s, %s of RAM); %s is used",
        LinesOf(map), FormatBytes(map.ram_bytes()),
        MapSourceName(SourceOf(chosen))));
  }
  if (other == nullptr) return;
  notes.push_back(absl::StrFormat(
      "the log has %d boots; the map of the last one is used (%s, %s of RAM), "
      "not that of %s (%s of RAM)",
      boots, LinesOf(chosen), FormatBytes(chosen.ram_bytes()), LinesOf(*other),
      FormatBytes(other->ram_bytes())));
}

// Whether `map` is what a kernel made of the chosen one, and has less RAM.
bool IsShrunk(const PrintedMap& map, const PrintedMap& chosen) {
  const MapSource source = SourceOf(map);
  return map.first_line() > chosen.first_line() && source != SourceOf(chosen) &&
         (source == MapSource::kDom0 || source == MapSource::kChanged) &&
         map.ram_bytes() + kNotableBytes <= chosen.ram_bytes();
}

// What dom0 may grow to if its kernel left RAM of the hypervisor's map out: it
// keeps as much as that.
std::optional<PageCount> CeilingOf(const std::vector<PrintedMap>& maps,
                                   const PrintedMap& chosen) {
  std::optional<PageCount> ceiling;
  if (SourceOf(chosen) != MapSource::kHypervisor) return ceiling;
  for (const PrintedMap& map : maps) {
    if (SourceOf(map) != MapSource::kDom0 || !IsShrunk(map, chosen)) continue;
    ceiling = PageCount(map.ram_bytes() / kPageSize);
  }
  return ceiling;
}

// Says so if a later map of the log has less RAM than the chosen one.
void NoteShrunkMaps(const std::vector<PrintedMap>& maps,
                    const PrintedMap& chosen, std::vector<std::string>& notes) {
  for (const PrintedMap& map : maps) {
    if (!IsShrunk(map, chosen)) continue;
    const MapSource source = SourceOf(map);
    notes.push_back(absl::StrFormat(
        "%s (%s) has %s less RAM than %s, which is used: %s instead of %s",
        MapSourceName(source), LinesOf(map),
        FormatBytes(chosen.ram_bytes() - map.ram_bytes()),
        MapSourceName(SourceOf(chosen)), FormatBytes(map.ram_bytes()),
        FormatBytes(chosen.ram_bytes())));
  }
}

// Adds what the log says in words.  Where Linux stopped below the map's RAM
// counts if no map shows it.
void NoteWords(const TrimWords& words, const BootLog& log,
               std::vector<std::string>& notes) {
  const Pfn ram_end = log.map.RamPages().back().end();
  if (notes.empty() && words.last_pfn().has_value() &&
      *words.last_pfn() < ram_end) {
    notes.push_back(absl::StrFormat(
        "the kernel says that its RAM ends at pfn 0x%x (last_pfn); the map is "
        "used whole, whose RAM ends at pfn 0x%x",
        words.last_pfn()->value(), ram_end.value()));
  }
  for (std::string& note : words.Notes()) notes.push_back(std::move(note));
}

// Says so if the chosen map may be less than the machine's.
void NotePartialMap(const PrintedMap& chosen, std::vector<std::string>& notes) {
  const std::string ram = FormatBytes(chosen.ram_bytes());
  switch (SourceOf(chosen)) {
    case MapSource::kDom0:
      notes.push_back(absl::StrCat(
          "the log has no map of the hypervisor's, only dom0's, whose kernel "
          "leaves out RAM that dom0 cannot have: the machine gets the ",
          ram, " of RAM that are left, and no more"));
      break;
    case MapSource::kChanged:
      notes.push_back(absl::StrCat(
          "the log has no map as the firmware left it, only one that the "
          "kernel has changed (mem=, memmap=, MTRRs): the machine gets the ",
          ram, " of RAM that are left, and no more"));
      break;
    default:
      break;
  }
}

}  // namespace

absl::string_view MapSourceName(MapSource source) {
  switch (source) {
    case MapSource::kHypervisor:
      return "the hypervisor's map";
    case MapSource::kDom0:
      return "dom0's map";
    case MapSource::kFirmware:
      return "the firmware's map";
    case MapSource::kUntagged:
      return "a map without a name";
    case MapSource::kChanged:
      return "the map that the kernel changed";
    case MapSource::kRawFirmware:
      return "the hypervisor's raw map";
  }
  return "a map";
}

absl::StatusOr<BootLog> ReadBootLog(absl::string_view text) {
  if (text.size() > kMaxBootLogBytes) {
    return Malformed(absl::StrFormat(
        "the boot log has more than %d MiB, the most that is read; hand in "
        "only the lines of the map",
        kMaxBootLogBytes >> 20));
  }
  PrintedMaps collected;
  Dom0Log dom0;
  TrimWords words;
  size_t number = 0;
  for (absl::string_view raw : absl::StrSplit(text, '\n')) {
    ++number;
    const std::string line = CleanLogLine(raw);
    if (line.empty()) continue;
    collected.Add(number, line);
    dom0.Add(line);
    words.Add(line);
  }
  const std::vector<PrintedMap> maps = collected.Take();
  if (maps.empty()) {
    return Malformed(
        "the boot log has no line like \"Xen: [mem "
        "0x0000000000000000-0x000000000009dfff] usable\" or \"(XEN)  "
        "[0000000000000000, 000000000009dfff] (usable)\"; hand in the first "
        "lines of the kernel's log, or xl dmesg");
  }
  const PrintedMap& chosen = Choose(maps);
  BootLog log;
  SIMVISOR_ASSIGN_OR_RETURN(log.map, MakeMap(chosen));
  log.source = SourceOf(chosen);
  log.first_line = chosen.first_line();
  log.last_line = chosen.last_line();
  log.dom0_memory = dom0.memory();
  log.dom0_max_memory = dom0.max_memory();
  if (!log.dom0_max_memory.has_value()) {
    log.dom0_max_memory = CeilingOf(maps, chosen);
  }
  log.dom0_reserves_ibft = ReservesIbft(text);
  NoteOtherBoots(maps, chosen, log.notes);
  NoteShrunkMaps(maps, chosen, log.notes);
  NoteWords(words, log, log.notes);
  NotePartialMap(chosen, log.notes);
  return log;
}

absl::StatusOr<E820Map> E820Map::ParseBootLog(absl::string_view text) {
  SIMVISOR_ASSIGN_OR_RETURN(BootLog log, ReadBootLog(text));
  return std::move(log.map);
}

}  // namespace simvisor
