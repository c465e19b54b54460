#include "domain/host/dom0_memory.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "domain/host/host.h"
#include "domain/units/abi.h"
#include "domain/units/error.h"

namespace simvisor {
namespace {

constexpr PageCount kDom0Memory(4 * kPagesPerGiB);

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
      absl::StrFormat("boot of dom0 with %d pages of memory: the machine has "
                      "%d; give dom0 less or the machine more",
                      memory.value(), most.value()));
}

Dom0Memory ChooseDom0Memory(const BootLog& log, std::optional<PageCount> memory,
                            std::optional<PageCount> max_memory) {
  const bool log_asks = !memory.has_value() && log.dom0_memory.has_value();
  Dom0Memory dom0;
  dom0.memory =
      log_asks ? *log.dom0_memory : memory.value_or(DefaultDom0Memory(log.map));
  // The log's limit is that of the log's size.
  const std::optional<PageCount> limit =
      max_memory.has_value() || !log_asks ? max_memory : log.dom0_max_memory;
  if (limit.has_value() && *limit < dom0.memory) {
    dom0.notes.push_back(
        absl::StrFormat("dom0 starts with %d pages of memory instead of %d: "
                        "it may not grow beyond its maximum",
                        limit->value(), dom0.memory.value()));
    dom0.memory = *limit;
  }
  const PageCount most = RamForDomains(log.map);
  if (dom0.memory > most && (log_asks || log.source == MapSource::kDom0)) {
    dom0.notes.push_back(absl::StrFormat(
        "dom0 gets %d pages of memory instead of %d: no more of the map's RAM "
        "is left beside what the hypervisor keeps",
        most.value(), dom0.memory.value()));
    dom0.memory = most;
  }
  dom0.max_memory = std::min(RamOf(log.map), kAbiX86_64.max_domain_pages());
  if (!max_memory.has_value() && log.dom0_max_memory.has_value() &&
      *log.dom0_max_memory >= dom0.memory) {
    max_memory = std::min(dom0.max_memory, *log.dom0_max_memory);
  }
  dom0.no_ceiling = !max_memory.has_value();
  dom0.max_memory = max_memory.value_or(dom0.max_memory);
  return dom0;
}

}  // namespace simvisor
