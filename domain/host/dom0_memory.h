// How much memory dom0 starts with, and what it may grow to.
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

// Pages of RAM of a machine with the map `e820`.
PageCount RamOf(const E820Map& e820);

// Those that domains may have: all but what the hypervisor keeps.
PageCount RamForDomains(const E820Map& e820);

// dom0's memory if neither flags nor a log say how much: 4 GiB, or a quarter of
// the RAM of `e820` if that is less.
PageCount DefaultDom0Memory(const E820Map& e820);

// RESOURCE_EXHAUSTED HOST_MEMORY_EXHAUSTED if domains of a machine with the map
// `e820` cannot have `memory`.
absl::Status CheckDom0Memory(const E820Map& e820, PageCount memory);

struct Dom0Memory {
  PageCount memory;
  PageCount max_memory;
  // Whether dom0's kernel hears of no limit: neither the user nor the log names
  // one, as without max in Xen's dom0_mem.
  bool no_ceiling = true;
  // The machine's map: the log's, and RAM that dom0 had beside that.
  E820Map machine;
  // What was done differently from the log, a sentence each.
  std::vector<std::string> notes;
};

// What dom0 of the machine of `log` gets.  `memory` and `max_memory` are what
// the user asks for; where they are not set, what the log says counts, and
// else DefaultDom0Memory() and all RAM of the machine.
//
// Xen starts dom0 with its maximum if that is less than its memory, and gives a
// dom0 that asks for more than there is what there is.  This does the first in
// any case; the second if it is the log that asks, or if the machine's map is
// that of dom0's kernel, which leaves RAM out.  A note says so.  What a user
// asks for of another machine is left as it is, for the host to refuse.
//
// A kernel that may not have more than dom0's memory keeps that much RAM of its
// map.  Some of it lies below 1 MiB, whose frames are the hypervisor's, so the
// real machine had as much elsewhere; `machine` has it behind the map's last
// RAM.  dom0's kernel is to be given the log's own map.
Dom0Memory ChooseDom0Memory(const BootLog& log, std::optional<PageCount> memory,
                            std::optional<PageCount> max_memory);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_HOST_DOM0_MEMORY_H_
