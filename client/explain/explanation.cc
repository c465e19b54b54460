#include "client/explain/explanation.h"

#include <utility>

#include "base/status_macros.h"
#include "domain/boot_log/dom0_map.h"
#include "domain/host/dom0_memory.h"
#include "domain/units/abi.h"

namespace simvisor::client {
namespace {

absl::StatusOr<Explanation::Kernel> ExplainDom0(const BootLog& machine,
                                                const Dom0Memory& dom0,
                                                const ExplainOptions& options) {
  SIMVISOR_RETURN_IF_ERROR(CheckDom0Memory(dom0.machine, dom0.memory));
  Explanation::Kernel kernel = {.memory = dom0.memory,
                                .max_memory = dom0.max_memory,
                                .given = {},
                                .figures = {}};
  SIMVISOR_ASSIGN_OR_RETURN(
      kernel.given, Dom0Map(machine.map, options.dom0_ibft.value_or(
                                             machine.dom0_reserves_ibft)));
  SIMVISOR_ASSIGN_OR_RETURN(
      kernel.figures,
      FiguresOfBoot(
          {.abi = &kAbiX86_64,
           .e820 = &kernel.given,
           .nr_pages = dom0.memory,
           .ceiling = dom0.no_ceiling ? kNoCeiling : dom0.max_memory,
           .initial = true,
           .area_limit = Pfn(options.dom0_hotplug_limit_gib * kPagesPerGiB)}));
  return kernel;
}

absl::StatusOr<Explanation::Kernel> ExplainGuest(const E820Map& machine,
                                                 PageCount memory,
                                                 PageCount max_memory) {
  Explanation::Kernel kernel = {
      .memory = memory, .max_memory = max_memory, .given = {}, .figures = {}};
  SIMVISOR_ASSIGN_OR_RETURN(kernel.given,
                            GuestE820FromHost(machine, memory, max_memory));
  SIMVISOR_ASSIGN_OR_RETURN(kernel.figures,
                            FiguresOfBoot({.abi = &kAbiX86_64,
                                           .e820 = &kernel.given,
                                           .nr_pages = memory,
                                           .ceiling = memory,
                                           .initial = false,
                                           .area_limit = Pfn(0)}));
  return kernel;
}

}  // namespace

absl::StatusOr<Explanation> Explain(absl::string_view boot_log,
                                    const ExplainOptions& options) {
  Explanation explanation;
  SIMVISOR_ASSIGN_OR_RETURN(explanation.machine, ReadBootLog(boot_log));
  BootLog& machine = explanation.machine;
  const Dom0Memory dom0 =
      ChooseDom0Memory(machine, options.dom0_memory, options.dom0_max_memory);
  explanation.notes = machine.notes;
  explanation.notes.insert(explanation.notes.end(), dom0.notes.begin(),
                           dom0.notes.end());
  SIMVISOR_ASSIGN_OR_RETURN(explanation.dom0,
                            ExplainDom0(machine, dom0, options));
  machine.map = dom0.machine;
  if (options.guest_memory.has_value()) {
    SIMVISOR_ASSIGN_OR_RETURN(
        explanation.guest,
        ExplainGuest(machine.map, *options.guest_memory,
                     options.guest_max_memory.value_or(*options.guest_memory)));
  }
  return explanation;
}

}  // namespace simvisor::client
