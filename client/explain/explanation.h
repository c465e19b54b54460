// What the kernels of a machine make of its memory, by the machine's boot log.
//
// Figures come from the library that the daemon runs, so that they are those of
// a daemon with this log.
//
// Thread safety: values, pure functions.

#ifndef SIMVISOR_CLIENT_EXPLAIN_EXPLANATION_H_
#define SIMVISOR_CLIENT_EXPLAIN_EXPLANATION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/boot_log/boot_log.h"
#include "domain/e820/e820.h"
#include "domain/guest/boot_figures.h"
#include "domain/units/units.h"

namespace simvisor::client {

struct ExplainOptions {
  // Unset: as ChooseDom0Memory() says.
  std::optional<PageCount> dom0_memory;
  std::optional<PageCount> dom0_max_memory;
  // GiB that dom0's p2m area is sized for at least.
  uint32_t dom0_hotplug_limit_gib = 0;
  // Whether dom0's kernel reserves the area of the iBFT (domain/guest/
  // dom0_map.h).  Unset: as the log says.
  std::optional<bool> dom0_ibft;
  // Memory of a guest with e820_host; unset for none.
  std::optional<PageCount> guest_memory;
  // Unset: guest_memory.
  std::optional<PageCount> guest_max_memory;
};

struct Explanation {
  struct Kernel {
    PageCount memory;
    PageCount max_memory;
    E820Map given;  // the map that it sets up memory from
    BootFigures figures;
  };

  BootLog machine;  // with the map of Dom0Memory
  std::vector<std::string> notes;
  Kernel dom0;
  std::optional<Kernel> guest;  // 64-bit
};

// Explains `boot_log`.  Errors as ReadBootLog(), CheckDom0Memory(),
// GuestE820FromHost() and FiguresOfBoot(), with the reason behind the message.
absl::StatusOr<Explanation> Explain(absl::string_view boot_log,
                                    const ExplainOptions& options);

// The lines that the command prints; see docs/boot-logs.md.
std::string ExplanationText(const Explanation& explanation);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_EXPLAIN_EXPLANATION_H_
