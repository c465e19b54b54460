#include "domain/host/dom0_memory.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "domain/units/abi.h"
#include "domain/units/size_text.h"

namespace simvisor {
namespace {

constexpr PageCount kDom0Memory(4 * kPagesPerGiB);
// libxl balloons dom0 to no less (LIBXL_MIN_DOM0_MEM).
constexpr PageCount kLibxlLeast(128 * kPagesPerMiB);

// `pages` of RAM at the first free place after the last RAM of `e820`.
E820Entry RamBehind(const E820Map& e820, PageCount pages) {
  E820Entry ram = {e820.RamPages().back().end().value() * kPageSize,
                   pages.in_bytes(), E820Type::kRam};
  for (const E820Entry& entry : e820.entries()) {
    if (entry.start >= ram.end() || entry.end() <= ram.start) continue;
    ram.start = (entry.end() + kPageSize - 1) / kPageSize * kPageSize;
  }
  return ram;
}

// Adds to dom0's machine the RAM that dom0 must have had besides its kernel's
// map.
void AddRamBesideMap(Dom0Memory& dom0) {
  const PageCount most = RamForDomains(dom0.machine);
  const PageCount memory = std::min(dom0.memory, RamOf(dom0.machine));
  if (memory <= most) return;
  const E820Entry ram = RamBehind(dom0.machine, memory - most);
  std::vector<E820Entry> entries = dom0.machine.entries();
  entries.push_back(ram);
  absl::StatusOr<E820Map> machine = E820Map::CreateDerived(std::move(entries));
  if (!machine.ok()) return;  // no room below the end of physical addresses
  dom0.machine = *std::move(machine);
  dom0.notes.push_back(absl::StrFormat(
      "the machine gets %d pages of RAM more than the map has, at 0x%x: dom0's "
      "kernel kept as much as dom0 has, but the hypervisor keeps what lies "
      "below 1 MiB",
      (memory - most).value(), ram.start));
}

}  // namespace

PageCount RamOf(const E820Map& e820) {
  PageCount ram;
  for (const PfnExtent& extent : e820.RamPages()) ram += extent.count;
  return ram;
}

PageCount RamForDomains(const E820Map& e820) {
  PageCount ram;
  for (const PfnExtent& extent : e820.RamPages()) {
    ram += ExtentBetween(std::max(extent.first, Pfn(kReservedBelow.value())),
                         extent.end())
               .count;
  }
  return ram;
}

PageCount DefaultDom0Memory(const E820Map& e820) {
  return std::min(kDom0Memory, PageCount(RamOf(e820).value() / 4));
}

absl::Status CheckDom0Memory(const E820Map& e820, PageCount memory) {
  const PageCount most = RamForDomains(e820);
  if (memory <= most) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted, Reason::kHostMemoryExhausted,
      absl::StrFormat(
          "boot of dom0 with %s of memory: the machine has %s; give "
          "dom0 less or the machine more",
          SizeText(memory), SizeText(most)),
      {{fact::kRequested, memory.value()},
       {fact::kAvailable, most.value()},
       {fact::kUnit, "pages"}});
}

Dom0Memory ChooseDom0Memory(const BootLog& log, std::optional<PageCount> memory,
                            std::optional<PageCount> max_memory) {
  const bool log_asks = !memory.has_value() && log.dom0_memory.has_value();
  Dom0Memory dom0;
  dom0.memory =
      log_asks ? *log.dom0_memory : memory.value_or(DefaultDom0Memory(log.map));
  // The log's limit goes with the log's size.
  const std::optional<PageCount> limit =
      max_memory.has_value() || !log_asks ? max_memory : log.dom0_max_memory;
  if (limit.has_value() && *limit < dom0.memory) {
    dom0.notes.push_back(
        absl::StrFormat("dom0 starts with %s of memory instead of %s: "
                        "it may not grow beyond its maximum",
                        SizeText(*limit), SizeText(dom0.memory)));
    dom0.memory = *limit;
  }
  if (!log_asks && dom0.memory < kLibxlLeast) {
    dom0.notes.push_back(
        absl::StrFormat("dom0 starts with %s of memory; libxl leaves it %s at "
                        "least",
                        SizeText(dom0.memory), SizeText(kLibxlLeast)));
  }
  dom0.machine = log.map;
  if (log.source == MapSource::kDom0) AddRamBesideMap(dom0);
  const PageCount most = RamForDomains(dom0.machine);
  if (dom0.memory > most && (log_asks || log.source == MapSource::kDom0)) {
    dom0.notes.push_back(absl::StrFormat(
        "dom0 gets %s of memory instead of %s: the machine has no more besides "
        "what the hypervisor keeps",
        SizeText(most), SizeText(dom0.memory)));
    dom0.memory = most;
  }
  dom0.max_memory =
      std::min(RamOf(dom0.machine), kAbiX86_64.max_domain_pages());
  if (!max_memory.has_value() && log.dom0_max_memory.has_value() &&
      *log.dom0_max_memory >= dom0.memory) {
    max_memory = std::min(dom0.max_memory, *log.dom0_max_memory);
  }
  dom0.no_ceiling = !max_memory.has_value();
  dom0.max_memory = max_memory.value_or(dom0.max_memory);
  return dom0;
}

}  // namespace simvisor
