// A line of a memory map, as kernels and hypervisors print it.
//
// Three forms are read, each with a type behind it:
//
//   [mem 0xSTART-0xLAST] TYPE     Linux since 3.5
//   [START, LAST] (TYPE)          Xen since 4.15
//   START - END (TYPE)            Xen before, Linux before; END is the first
//                                 byte behind the range, and not of it
//
// Newer kernels print a size between range and type.  What stands before the
// range says whose map the line is of; a log mentions ranges in many other
// places (changes of the map, NUMA nodes, PCI windows), and those lines are
// told apart by that.
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

// What stands before each of Xen's lines.
inline constexpr absl::string_view kXenPrefix = "(XEN)";

// Who printed a map, told by the word before the range.
enum class MapTag {
  kHypervisor,  // "(XEN)", or nothing below a heading of Xen's
  kXen,         // "Xen:", "Xen-e820:": dom0's kernel
  kBios,        // "BIOS-e820:" and older kernels' "BIOS-e801:", "BIOS-88:"
  kUser,        // "user:", after mem= or memmap=
  kModified,    // "modified:", after the kernel's own repairs
  kExtended,    // "reserve setup_data:", "extended:"
  kNone,        // nothing but time stamps and what a log daemon adds
};

// A line of a map that has not been read yet.
struct MapLine {
  size_t number;     // from 1
  std::string text;  // clean, from the range on
  MapTag tag;

  // Whether `text` begins with a range, which may be malformed all the same.
  bool has_range() const;
};

// The line of a map that `text` is; nullopt if it is of no map.  A line whose
// range is garbled or cut, but begins like one behind a tag, is one, too; if
// the tag is "(XEN)", which stands before all that Xen prints, the caller has
// to know that a map is being printed.  Lines without a tag count only if a
// type follows as in maps.
// REQUIRES: `text` is what CleanLogLine() returns.
std::optional<MapLine> FindMapLine(size_t number, absl::string_view text);

// The entry that a line states; of size 0 if its range is empty.  Types are
// read in all wordings of Linux and Xen, with or without parentheses.  What is
// neither RAM, ACPI nor unusable becomes reserved: persistent and soft reserved
// memory, and "type N" with a number that the BIOS interface leaves open.  A
// kernel in dom0 or in a PV guest treats these all alike.
//
// INVALID_ARGUMENT E820_MALFORMED if the range is of none of the forms, ends
// below its start or above kMaxE820Address, or if no known type follows; the
// message has the number of the line and the offending word.
absl::StatusOr<E820Entry> ParseMapLine(const MapLine& line);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_MAP_LINE_H_
