#include "client/explain/explanation_json.h"

#include <cstdint>
#include <utility>

#include "domain/host/dom0_memory.h"

namespace simvisor::client {
namespace {

Json ToJson(const E820Map& map) {
  Json list = Json::array();
  for (const E820Entry& entry : map.entries()) {
    list.push_back({{"start_bytes", entry.start},
                    {"size_bytes", entry.size},
                    {"type", E820TypeName(entry.type)}});
  }
  return list;
}

// The last identity range has no end, and so no count.
Json ToJson(PfnExtent pfns) {
  Json range = {{"first_pfn", pfns.first.value()}};
  if (!pfns.end().is_none()) range["count"] = pfns.count.value();
  return range;
}

Json ToJson(const std::vector<PfnExtent>& ranges) {
  Json list = Json::array();
  for (const PfnExtent& range : ranges) list.push_back(ToJson(range));
  return list;
}

Json MovesToJson(const MemorySetup& setup) {
  Json list = Json::array();
  for (const MemorySetup::Move& move : setup.moves) {
    Json one = ToJson(move.source);
    one["target_pfn"] = move.target.value();
    list.push_back(std::move(one));
  }
  return list;
}

Json RoomToJson(const MemorySetup& setup) {
  Json list = Json::array();
  for (const auto& [first, end] : setup.extra_left.extents()) {
    list.push_back(ToJson(ExtentBetween(first, end)));
  }
  return list;
}

Json ToJson(const Explanation::Kernel& kernel) {
  const BootFigures& figures = kernel.figures;
  const MemorySetup& setup = figures.setup;
  return {{"memory_pages", kernel.memory.value()},
          {"max_memory_pages", kernel.max_memory.value()},
          {"released_pages", setup.released_pages.value()},
          {"remapped_pages", setup.moved_pages.value()},
          {"last_pfn", figures.ram_end.value()},
          {"room_pages", setup.extra_left.size().value()},
          {"max_pfn", setup.last_pfn.value()},
          {"p2m_area", setup.area_end.value()},
          {"map", ToJson(figures.map)},
          {"identity", ToJson(setup.identity)},
          {"released", ToJson(setup.released)},
          {"remap_area", ToJson(figures.remap_area)},
          {"moved", MovesToJson(setup)},
          {"room", RoomToJson(setup)}};
}

}  // namespace

Json ExplanationToJson(const Explanation& explanation) {
  const BootLog& log = explanation.machine;
  Json json = {{"machine",
                {{"source", MapSourceName(log.source)},
                 {"first_line", log.first_line},
                 {"last_line", log.last_line},
                 {"ram_pages", RamOf(log.map).value()},
                 {"map", ToJson(log.map)}}},
               {"notes", explanation.notes},
               {"dom0", ToJson(explanation.dom0)}};
  if (explanation.guest.has_value()) {
    Json guest = ToJson(*explanation.guest);
    guest["given_map"] = ToJson(explanation.guest->given);
    json["guest"] = std::move(guest);
  }
  return json;
}

}  // namespace simvisor::client
