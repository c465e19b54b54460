// Which map of a log is taken as the machine's.
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

// Whether `a` and `b` were printed in the same way: they then come from two
// boots, or from one that the log holds twice.
bool SamePrinter(const PrintedMap& a, const PrintedMap& b);

// Errors as for ReadBootLog().
absl::StatusOr<E820Map> MakeMap(const PrintedMap& printed);

// Bytes of RAM; nullopt if `map` is malformed, so that its RAM is unknown.
std::optional<uint64_t> RamBytes(const PrintedMap& map);

struct MapChoice {
  // All maps and boots of the log.
  const std::vector<PrintedMap>& maps;
  const LogBoots& boots;
  const PrintedMap& chosen;
  // The last map that was printed in the same way, if it breaks off where
  // `chosen`, an earlier map, continues; else null.
  const PrintedMap* cut;
};

// The last map of the preferred source.  A log may end inside a map; if the
// last map is only the beginning of an earlier one, the earlier one is chosen.
// REQUIRES: `maps` is not empty; both arguments outlive the choice.
MapChoice ChooseMap(const std::vector<PrintedMap>& maps, const LogBoots& boots);

// Whether `map` is what a kernel made of the chosen map in the same boot and
// has less RAM, but not less than dom0 had (it would then lack lines).
bool IsShrunk(const PrintedMap& map, const MapChoice& choice);

// How far dom0 may grow if its kernel left out RAM of the hypervisor's map: as
// much as it kept.
std::optional<PageCount> CeilingOf(const MapChoice& choice);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_MAP_CHOICE_H_
