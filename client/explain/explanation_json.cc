#include "client/explain/explanation_json.h"

#include <cstdint>
#include <utility>

#include "domain/host/dom0_memory.h"

namespace simvisor::client {
namespace {

// Exact: addresses are below 2^52, and doubles hold integers up to 2^53.
double Number(uint64_t number) { return static_cast<double>(number); }

void AppendMap(absl::string_view name, const E820Map& map, JsonObject& out) {
  for (const E820Entry& entry : map.entries()) {
    out.Append(name, JsonObject()
                         .SetNumber("start_bytes", Number(entry.start))
                         .SetNumber("size_bytes", Number(entry.size))
                         .Set("type", E820TypeName(entry.type)));
  }
}

// The last identity range has no end, and so no count.
JsonObject ToJson(PfnExtent pfns) {
  JsonObject range;
  range.SetNumber("first_pfn", Number(pfns.first.value()));
  if (!pfns.end().is_none()) {
    range.SetNumber("count", Number(pfns.count.value()));
  }
  return range;
}

void AppendRanges(absl::string_view name, const std::vector<PfnExtent>& ranges,
                  JsonObject& out) {
  for (const PfnExtent& range : ranges) out.Append(name, ToJson(range));
}

JsonObject ToJson(const Explanation::Kernel& kernel) {
  const BootFigures& figures = kernel.figures;
  const MemorySetup& setup = figures.setup;
  JsonObject out;
  out.SetNumber("memory_pages", Number(kernel.memory.value()))
      .SetNumber("max_memory_pages", Number(kernel.max_memory.value()))
      .SetNumber("released_pages", Number(setup.released_pages.value()))
      .SetNumber("remapped_pages", Number(setup.moved_pages.value()))
      .SetNumber("last_pfn", Number(figures.ram_end.value()))
      .SetNumber("room_pages", Number(setup.extra_left.size().value()))
      .SetNumber("max_pfn", Number(setup.last_pfn.value()))
      .SetNumber("p2m_area", Number(setup.area_end.value()));
  AppendMap("map", figures.map, out);
  AppendRanges("identity", setup.identity, out);
  AppendRanges("released", setup.released, out);
  AppendRanges("remap_area", figures.remap_area, out);
  for (const MemorySetup::Move& move : setup.moves) {
    out.Append("moved", std::move(ToJson(move.source)
                                      .SetNumber("target_pfn",
                                                 Number(move.target.value()))));
  }
  for (const auto& [first, end] : setup.extra_left.extents()) {
    out.Append("room", ToJson(ExtentBetween(first, end)));
  }
  return out;
}

}  // namespace

JsonObject ExplanationToJson(const Explanation& explanation) {
  const BootLog& log = explanation.machine;
  JsonObject machine;
  machine.Set("source", MapSourceName(log.source))
      .SetNumber("first_line", Number(log.first_line))
      .SetNumber("last_line", Number(log.last_line))
      .SetNumber("ram_pages", Number(RamOf(log.map).value()));
  AppendMap("map", log.map, machine);
  JsonObject out;
  out.SetObject("machine", std::move(machine))
      .SetTexts("notes", explanation.notes)
      .SetObject("dom0", ToJson(explanation.dom0));
  if (explanation.guest.has_value()) {
    JsonObject guest = ToJson(*explanation.guest);
    AppendMap("given_map", explanation.guest->given, guest);
    out.SetObject("guest", std::move(guest));
  }
  return out;
}

}  // namespace simvisor::client
