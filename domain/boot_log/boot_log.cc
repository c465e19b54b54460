#include "domain/boot_log/boot_log.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/boot_log/boot_log_notes.h"
#include "domain/boot_log/log_boots.h"
#include "domain/boot_log/log_text.h"
#include "domain/boot_log/map_choice.h"
#include "domain/boot_log/printed_maps.h"

namespace simvisor {
namespace {

// Byte order marks of UTF-8 and UTF-16.  In UTF-16 the other byte of each
// character is zero, and cleaning a line removes it.
constexpr absl::string_view kByteOrderMarks[] = {"\xef\xbb\xbf", "\xff\xfe",
                                                 "\xfe\xff"};

absl::Status Malformed(absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, Reason::kE820Malformed,
                   absl::StrCat("E820 map: ", what));
}

// Passes the lines of `text`, except guests' lines, to `maps` and `boots`.
void ReadLines(absl::string_view text, PrintedMaps& maps, LogBoots& boots) {
  for (const absl::string_view mark : kByteOrderMarks) {
    absl::ConsumePrefix(&text, mark);
  }
  size_t number = 0;
  for (const absl::string_view raw : absl::StrSplit(text, '\n')) {
    ++number;
    const std::string line = CleanLogLine(raw);
    if (line.empty() || IsGuestLine(line)) continue;
    maps.Add(number, line);
    boots.Add(number, line);
  }
}

absl::StatusOr<BootLog> MakeLog(const MapChoice& choice) {
  const PrintedMap& chosen = choice.chosen;
  const LogBoot& boot = choice.boots.Of(chosen.first_line());
  BootLog log;
  SIMVISOR_ASSIGN_OR_RETURN(log.map, MakeMap(chosen));
  log.source = SourceOf(chosen);
  log.first_line = chosen.first_line();
  log.last_line = chosen.last_line();
  log.dom0_memory = boot.dom0.memory();
  log.dom0_max_memory = boot.dom0.max_memory();
  if (!log.dom0_max_memory.has_value()) {
    log.dom0_max_memory = CeilingOf(choice);
  }
  log.dom0_reserves_ibft = boot.ibft.Reserves();
  log.notes = NotesOn(choice);
  return log;
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
  LogBoots boots;
  ReadLines(text, collected, boots);
  const std::vector<PrintedMap> maps = collected.Take();
  if (maps.empty()) {
    return Malformed(
        "the boot log has no line like \"Xen: [mem "
        "0x0000000000000000-0x000000000009dfff] usable\" or \"(XEN)  "
        "[0000000000000000, 000000000009dfff] (usable)\"; hand in the first "
        "lines of the kernel's log, or xl dmesg");
  }
  return MakeLog(ChooseMap(maps, boots));
}

absl::StatusOr<E820Map> E820Map::ParseBootLog(absl::string_view text) {
  SIMVISOR_ASSIGN_OR_RETURN(BootLog log, ReadBootLog(text));
  return std::move(log.map);
}

}  // namespace simvisor
