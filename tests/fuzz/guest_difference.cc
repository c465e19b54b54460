#include "tests/fuzz/guest_difference.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/fuzz/guest_runs.h"

namespace simvisor {
namespace {

using Figures = std::vector<std::pair<std::string, uint64_t>>;

void AddDriver(const DomainInfo& info, Figures& figures) {
  if (!info.balloon_driver.has_value()) return;
  const BalloonDriverInfo& driver = *info.balloon_driver;
  for (const auto& [name, value] :
       Figures{{"current", driver.current.value()},
               {"target", driver.target.value()},
               {"low", driver.low.value()},
               {"high", driver.high.value()},
               {"state", static_cast<uint64_t>(driver.state)},
               {"delay", driver.schedule_delay},
               {"retry", driver.retry_count},
               {"max retry", driver.max_retry_count},
               {"regions", driver.extra_regions.size()}}) {
    figures.emplace_back("driver's " + name, value);
  }
}

Figures FiguresOf(Domain& domain) {
  const DomainInfo info = domain.Info();
  const P2mReport report = *domain.p2m().Summary();
  Figures figures = {
      {"pages", info.memory.current.value()},
      {"max_pages", info.memory.max.value()},
      {"static_max", info.memory.static_max.value()},
      {"target", info.memory.target.value()},
      {"balloon", info.memory.balloon.value()},
      {"free pages", info.memory.available.value()},
      {"p2m pages", info.memory.p2m_pages.value()},
      {"address space pages", info.memory.address_space_pages.value()},
      {"vcpus", info.vcpus},
      {"map entries", info.e820.entries().size()},
      {"list size", report.summary.p2m_size},
      {"private leaves", report.summary.private_leaves},
      {"missing leaves", report.summary.missing_leaves},
      {"identity leaves", report.summary.identity_leaves},
      {"last pfn", report.summary.tools_max_pfn},
      {"remapped", report.remapped.value()},
      {"released", report.released.value()}};
  AddDriver(info, figures);
  std::vector<AddressSpaceInfo> spaces;
  if (domain.processes().List(0, 100000, spaces).ok()) {
    for (const AddressSpaceInfo& space : spaces) {
      figures.emplace_back("address space", space.id);
      figures.emplace_back("its table's offset", space.pgd_offset);
    }
  }
  if (const auto load = domain.load().Find(); load.ok()) {
    figures.emplace_back("load's pages", load->spec.working_set.value());
    figures.emplace_back("load's writes", load->writes);
    figures.emplace_back("load's seed", load->spec.seed);
  }
  return figures;
}

std::string BytesAt(Domain& domain, uint64_t pfn) {
  std::string page(kPageSize, '\0');
  const absl::Status status =
      domain.contents().Read(Pfn(pfn), 0, absl::MakeSpan(&page[0], kPageSize));
  return status.ok() ? page : std::string(status.message());
}

}  // namespace

std::optional<std::string> DifferenceBetween(Domain& a, Domain& b,
                                             absl::Span<const uint64_t> pages) {
  const Figures in_a = FiguresOf(a), in_b = FiguresOf(b);
  if (in_a.size() != in_b.size()) return "one has other figures";
  for (size_t i = 0; i < in_a.size(); ++i) {
    if (in_a[i] == in_b[i]) continue;
    return absl::StrCat(in_a[i].first, ": ", in_a[i].second, " and ",
                        in_b[i].second);
  }
  const std::vector<P2mRun> runs = RunsOf(a), others = RunsOf(b);
  if (runs.size() != others.size()) return "the words have other runs";
  for (size_t i = 0; i < runs.size(); ++i) {
    const bool identity = runs[i].word.Class() == P2mClass::kIdentity;
    if (runs[i].pfns == others[i].pfns &&
        runs[i].word.Class() == others[i].word.Class() &&
        (!identity || runs[i].word == others[i].word)) {
      continue;
    }
    return absl::StrFormat("the words from pfn 0x%x on differ",
                           runs[i].pfns.first.value());
  }
  for (const uint64_t pfn : pages) {
    if (BytesAt(a, pfn) == BytesAt(b, pfn)) continue;
    return absl::StrFormat("the pages at pfn 0x%x differ", pfn);
  }
  return std::nullopt;
}

}  // namespace simvisor
