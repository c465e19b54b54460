// How much memory dom0 starts with, and how far it may grow.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_HOST_DOM0_MEMORY_H_
#define SIMVISOR_DOMAIN_HOST_DOM0_MEMORY_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "domain/boot_log/boot_log.h"
#include "domain/e820/e820.h"
#include "domain/units/units.h"

namespace simvisor {

// The hypervisor keeps the frames below 1 MiB, as Xen does for start-up code.
inline constexpr Mfn kReservedBelow{256};

// Pages of RAM on a machine with the map `e820`.
PageCount RamOf(const E820Map& e820);

// RAM that domains may have: all except the hypervisor's frames.
PageCount RamForDomains(const E820Map& e820);

// dom0's memory if neither flags nor a log set it: 4 GiB, or a quarter of the
// RAM of `e820` if that is less.
PageCount DefaultDom0Memory(const E820Map& e820);

// RESOURCE_EXHAUSTED HOST_MEMORY_EXHAUSTED if `memory` is more than domains may
// have on a machine with the map `e820`.
absl::Status CheckDom0Memory(const E820Map& e820, PageCount memory);

struct Dom0Memory {
  PageCount memory;
  PageCount max_memory;
  // True if dom0's kernel is not told a limit, because neither the user nor the
  // log sets one, as without max in Xen's dom0_mem.
  bool no_ceiling = true;
  // The machine's map: the log's map plus RAM that dom0 had besides that.
  E820Map machine;
  // Deviations from the log, one sentence each.
  std::vector<std::string> notes;
};

// What dom0 gets on the machine of `log`.  `memory` and `max_memory` are the
// user's; where one is not set, the log decides, and otherwise
// DefaultDom0Memory() and all RAM of the machine.
//
// If dom0's maximum is less than its memory, Xen starts dom0 with the maximum;
// this function always does the same.  If dom0 asks for more than the machine
// has, Xen gives it all that is left; this function does that only if the log
// asks, or if the machine's map comes from dom0's kernel, which leaves RAM out.
// A note says so.  Otherwise the user's request is left unchanged, for the host
// to refuse.
//
// A kernel whose maximum is dom0's memory keeps that much RAM of its map.  Some
// of it lies below 1 MiB, where the frames belong to the hypervisor, so the
// real machine had that much RAM elsewhere; `machine` has it after the map's
// last RAM.  Give dom0's kernel the log's own map.
Dom0Memory ChooseDom0Memory(const BootLog& log, std::optional<PageCount> memory,
                            std::optional<PageCount> max_memory);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_HOST_DOM0_MEMORY_H_
