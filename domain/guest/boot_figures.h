// The figures that a PV kernel prints at boot about its memory.
//
// They follow from the plan (memory_setup.h); nothing is booted here.
// Source: xen_memory_setup() in arch/x86/xen/setup.c.
//
// Thread safety: values, pure functions.

#ifndef SIMVISOR_DOMAIN_GUEST_BOOT_FIGURES_H_
#define SIMVISOR_DOMAIN_GUEST_BOOT_FIGURES_H_

#include <vector>

#include "absl/status/statusor.h"
#include "domain/e820/e820.h"
#include "domain/guest/memory_setup.h"
#include "domain/units/units.h"

namespace simvisor {

struct BootFigures {
  // The map that the kernel ends up with, whose lines it prints after "Xen:".
  // RAM is in whole pages, each within the initial size or in the room to
  // balloon.  The ISA area is reserved, except where it belongs to ACPI.
  E820Map map;
  MemorySetup setup;
  // The pfns to which frames from under holes move, ascending.
  std::vector<PfnExtent> remap_area;
  // One past the last page of RAM in `map` ("last_pfn").
  Pfn ram_end;
};

// The figures of a kernel that sets up its memory from `input`.  Errors as for
// PlanMemorySetup().
absl::StatusOr<BootFigures> FiguresOfBoot(const MemorySetupInput& input);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_BOOT_FIGURES_H_
