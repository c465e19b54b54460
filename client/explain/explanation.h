// How the kernels of a machine set up its memory, according to the machine's
// boot log.
//
// The figures come from the daemon's own library, so a daemon with this log has
// the same figures.
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
  // If unset, as ChooseDom0Memory() decides.
  std::optional<PageCount> dom0_memory;
  std::optional<PageCount> dom0_max_memory;
  // dom0's p2m area covers at least this many GiB.
  uint32_t dom0_hotplug_limit_gib = 0;
  // Whether dom0's kernel reserves the area of the iBFT
  // (domain/boot_log/dom0_map.h).  If unset, as the log says.
  std::optional<bool> dom0_ibft;
  // Memory of a guest with e820_host; unset means no guest.
  std::optional<PageCount> guest_memory;
  // If unset, guest_memory.
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

// Explains `boot_log`.  Errors as for ReadBootLog(), CheckDom0Memory(),
// GuestE820FromHost() and FiguresOfBoot(), with the reason after the message.
absl::StatusOr<Explanation> Explain(absl::string_view boot_log,
                                    const ExplainOptions& options);

// The lines that the command prints; see docs/boot-logs.md.
std::string ExplanationText(const Explanation& explanation);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_EXPLAIN_EXPLANATION_H_
