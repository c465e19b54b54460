// Which of the maps of a log is taken for the machine's.
//
// Thread safety: values, pure functions.

#ifndef SIMVISOR_DOMAIN_BOOT_LOG_MAP_CHOICE_H_
#define SIMVISOR_DOMAIN_BOOT_LOG_MAP_CHOICE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "domain/boot_log/boot_log.h"
#include "domain/boot_log/log_boots.h"
#include "domain/boot_log/printed_maps.h"
#include "domain/e820/e820.h"
#include "domain/units/units.h"

namespace simvisor {

MapSource SourceOf(const PrintedMap& map);

// Whether `a` and `b` were printed the same way, so that they are of two boots
// or of one that the log has twice.
bool SamePrinter(const PrintedMap& a, const PrintedMap& b);

// Errors as ReadBootLog().
absl::StatusOr<E820Map> MakeMap(const PrintedMap& printed);

// Bytes of RAM; nullopt if `map` is malformed, so that none are known.
std::optional<uint64_t> RamBytes(const PrintedMap& map);

struct MapChoice {
  // All of the log.
  const std::vector<PrintedMap>& maps;
  const LogBoots& boots;
  const PrintedMap& chosen;
  // The last map that was printed in the same way, if it breaks off where
  // `chosen`, an earlier one, goes on; else null.
  const PrintedMap* cut;
};

// The last map of the source that is preferred, or one that it is the beginning
// of: a log may end within a map.
// REQUIRES: there are maps; all outlive the choice.
MapChoice ChooseMap(const std::vector<PrintedMap>& maps, const LogBoots& boots);

// Whether `map` is what a kernel made of the chosen map in the same boot, and
// has less RAM, but not less than dom0 had: then it would lack lines.
bool IsShrunk(const PrintedMap& map, const MapChoice& choice);

// What dom0 may grow to if its kernel left RAM of the hypervisor's map out: it
// keeps as much as that.
std::optional<PageCount> CeilingOf(const MapChoice& choice);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_MAP_CHOICE_H_
