// A line of a memory map, as kernels and hypervisors print it.
//
// Three forms are read, each followed by a type:
//
//   [mem 0xSTART-0xLAST] TYPE     Linux since 3.5
//   [START, LAST] (TYPE)          Xen since 4.15
//   START - END (TYPE)            older Xen, older Linux; END is the first byte
//                                 after the range
//
// Newer kernels print a size between range and type.  The text before the range
// tells whose map the line belongs to, and tells map lines from the many other
// lines with ranges in a log (changes of the map, NUMA nodes, PCI windows).
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_BOOT_LOG_MAP_LINE_H_
#define SIMVISOR_DOMAIN_BOOT_LOG_MAP_LINE_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/e820/e820.h"

namespace simvisor {

// What Xen prints before each of its lines.
inline constexpr absl::string_view kXenPrefix = "(XEN)";

// Who printed a map, judged by the word before the range.
enum class MapTag {
  kHypervisor,  // "(XEN)", or nothing below one of Xen's headings
  kXen,         // "Xen:", "Xen-e820:": dom0's kernel
  kBios,        // "BIOS-e820:" and older kernels' "BIOS-e801:", "BIOS-88:"
  kUser,        // "user:", after mem= or memmap=
  kModified,    // "modified:", after the kernel's own repairs
  kExtended,    // "reserve setup_data:", "extended:"
  kNone,        // only time stamps and what a log daemon adds
};

// A map line that has not been parsed yet.
struct MapLine {
  size_t number;     // from 1
  std::string text;  // clean, from the range on
  MapTag tag;

  // Whether `text` begins with a range, which may still be malformed.
  bool has_range() const;
};

// Finds the map line in `text`; nullopt if it does not belong to a map.  A line
// whose range is garbled or cut, but begins like one after a tag, counts too.
// With the tag "(XEN)", which precedes everything that Xen prints, the caller
// must know that a map is being printed.  Lines without a tag count only if a
// type follows as in maps.
// REQUIRES: `text` is a result of CleanLogLine().
std::optional<MapLine> FindMapLine(size_t number, absl::string_view text);

// Parses a map line; the size is 0 if its range is empty.  Types are read in
// all wordings of Linux and Xen, with or without parentheses.  Everything
// except RAM, ACPI and unusable becomes reserved: persistent and soft reserved
// memory, and "type N" with a number that the BIOS interface does not define.
// A kernel in dom0 or in a PV guest treats all of these alike.
//
// INVALID_ARGUMENT E820_MALFORMED if the range has none of the forms, ends
// below its start or above kMaxE820Address, or is not followed by a known type;
// the message has the number of the line and the offending word.
absl::StatusOr<E820Entry> ParseMapLine(const MapLine& line);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_MAP_LINE_H_
