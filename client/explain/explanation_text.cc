#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/explain/explanation.h"
#include "client/ui/quantities.h"
#include "domain/host/dom0_memory.h"

namespace simvisor::client {
namespace {

// "[0x9a->0x100]"; the last identity range has no end.
std::string Range(PfnExtent pfns) {
  if (pfns.end().is_none())
    return absl::StrFormat("[0x%x->]", pfns.first.value());
  return absl::StrFormat("[0x%x->0x%x]", pfns.first.value(),
                         pfns.end().value());
}

std::string RangeAndPages(PfnExtent pfns) {
  if (pfns.end().is_none()) return Range(pfns);
  return absl::StrCat(Range(pfns), " ", pfns.count.value(), " pages");
}

void AppendMap(absl::string_view name, const E820Map& map, std::string& out) {
  for (const E820Entry& entry : map.entries()) {
    absl::StrAppendFormat(&out, "%s: [mem 0x%016x-0x%016x] %s\n", name,
                          entry.start, entry.end() - 1,
                          E820TypeName(entry.type));
  }
}

// Appends the figures that both kinds of kernels have.
void AppendFigures(const Explanation::Kernel& kernel, std::string& out) {
  const BootFigures& figures = kernel.figures;
  const MemorySetup& setup = figures.setup;
  absl::StrAppend(&out, "Released ", setup.released_pages.value(),
                  " page(s)\nRemapped ", setup.moved_pages.value(),
                  " page(s)\n");
  AppendMap("Xen", figures.map, out);
  absl::StrAppendFormat(&out, "last_pfn: 0x%x\n", figures.ram_end.value());
  for (const PfnExtent& range : setup.identity) {
    absl::StrAppend(&out, "identity: ", RangeAndPages(range), "\n");
  }
  for (const MemorySetup::Move& move : setup.moves) {
    absl::StrAppendFormat(&out, "moved: %s to 0x%x\n",
                          RangeAndPages(move.source), move.target.value());
  }
  for (const PfnExtent& range : setup.released) {
    absl::StrAppend(&out, "released: ", RangeAndPages(range), "\n");
  }
  for (const PfnExtent& range : figures.remap_area) {
    absl::StrAppend(&out, "remap area: ", RangeAndPages(range), "\n");
  }
  for (const auto& [first, end] : setup.extra_left.extents()) {
    absl::StrAppend(&out, "room to balloon: ",
                    RangeAndPages(ExtentBetween(first, end)), "\n");
  }
  absl::StrAppendFormat(&out,
                        "room to balloon in all: %d pages\n"
                        "max_pfn: 0x%x\n"
                        "p2m area: 0x%x\n",
                        setup.extra_left.size().value(), setup.last_pfn.value(),
                        setup.area_end.value());
}

}  // namespace

std::string ExplanationText(const Explanation& explanation) {
  const BootLog& machine = explanation.machine;
  std::string out = absl::StrFormat(
      "machine: %s, lines %d to %d, %d entries, %s of RAM\n",
      MapSourceName(machine.source), machine.first_line, machine.last_line,
      machine.map.entries().size(), FormatPages(RamOf(machine.map).value()));
  AppendMap("host", machine.map, out);
  for (const std::string& note : explanation.notes) {
    absl::StrAppend(&out, "note: ", note, "\n");
  }
  absl::StrAppendFormat(&out, "\ndom0: %d pages, at most %d\n",
                        explanation.dom0.memory.value(),
                        explanation.dom0.max_memory.value());
  AppendFigures(explanation.dom0, out);
  if (explanation.guest.has_value()) {
    absl::StrAppendFormat(&out,
                          "\nguest with e820_host: %d pages, at most %d\n",
                          explanation.guest->memory.value(),
                          explanation.guest->max_memory.value());
    AppendMap("libxl", explanation.guest->given, out);
    AppendFigures(*explanation.guest, out);
  }
  return out;
}

}  // namespace simvisor::client
