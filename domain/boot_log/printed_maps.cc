#include "domain/boot_log/printed_maps.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "domain/boot_log/log_text.h"

namespace simvisor {
namespace {

// A hand-written map has fewer lines, and comparing all pairs of lines is slow.
constexpr size_t kMaxJoinedLines = 1024;

bool Overlap(const PrintedMap::Line& a, const PrintedMap::Line& b) {
  return a.entry.ok() && b.entry.ok() && a.entry->start < b.entry->end() &&
         b.entry->start < a.entry->end();
}

// Whether no address is in ranges of both `a` and `b`.
bool Apart(const PrintedMap& a, const PrintedMap& b) {
  return std::none_of(
      a.lines.begin(), a.lines.end(), [&b](const PrintedMap::Line& line) {
        return std::any_of(b.lines.begin(), b.lines.end(),
                           [&line](const PrintedMap::Line& other) {
                             return Overlap(line, other);
                           });
      });
}

}  // namespace

void PrintedMaps::Add(size_t number, absl::string_view line) {
  AddBeginning(line);
  std::optional<MapLine> of_map = FindMapLine(number, line);
  const bool stray = of_map.has_value() && of_map->tag == MapTag::kHypervisor &&
                     !of_map->has_range() && !in_xens_map_;
  if (stray) of_map.reset();
  if (absl::StrContains(line, kXenPrefix)) {
    in_xens_map_ = of_map.has_value() || IsXenMapHeading(line);
  }
  if (of_map.has_value()) AddLine(*std::move(of_map));
}

void PrintedMaps::AddBeginning(absl::string_view line) {
  if (IsKernelBanner(line) || IsKernelMapHeading(line)) {
    Begin(Printer::kKernel);
  } else if (IsXenMapHeading(line)) {
    heading_ =
        absl::StrContains(line, "Initial ") ? Heading::kRawMap : Heading::kMap;
    Begin(Printer::kHypervisor);
  } else if (absl::EndsWith(line, " memory map:")) {
    heading_ = Heading::kOther;  // EFI's, or that of a containerised dom0
  } else if (IsXenBanner(line)) {
    heading_ = Heading::kNone;
    Begin(Printer::kHypervisor);
  }
}

void PrintedMaps::Begin(Printer printer) {
  for (size_t tag = 0; tag < open_.size(); ++tag) {
    const bool hypervisor = static_cast<MapTag>(tag) == MapTag::kHypervisor;
    if (hypervisor == (printer == Printer::kHypervisor)) {
      open_[tag] = {.map = std::nullopt, .begins = true};
    }
  }
}

void PrintedMaps::AddLine(MapLine line) {
  // Xen's lines without "(XEN)" are recognised by their heading.
  if (line.tag == MapTag::kNone && heading_ != Heading::kNone &&
      !absl::StartsWith(line.text, "[mem")) {
    line.tag = MapTag::kHypervisor;
  }
  const bool hypervisor = line.tag == MapTag::kHypervisor;
  if (hypervisor && heading_ == Heading::kOther) return;
  absl::StatusOr<E820Entry> entry = ParseMapLine(line);
  Open& open = open_[static_cast<size_t>(line.tag)];
  // A malformed line keeps its place.
  const uint64_t start = entry.ok() ? entry->start : open.start;
  if (start < open.start) open.map.reset();
  if (!open.map.has_value()) {
    open.map = maps_.size();
    maps_.push_back({.tag = line.tag,
                     .raw = hypervisor && heading_ == Heading::kRawMap,
                     .after_heading = std::exchange(open.begins, false),
                     .lines = {}});
  }
  open.start = start;
  maps_[*open.map].lines.push_back({line.number, std::move(entry)});
}

void PrintedMaps::Join() {
  std::vector<PrintedMap> joined;
  std::array<std::optional<size_t>, std::tuple_size_v<decltype(open_)>> last;
  for (PrintedMap& map : maps_) {
    std::optional<size_t>& before = last[static_cast<size_t>(map.tag)];
    PrintedMap* const first = before.has_value() ? &joined[*before] : nullptr;
    if (first != nullptr && !map.after_heading &&
        first->lines.size() + map.lines.size() <= kMaxJoinedLines &&
        Apart(*first, map)) {
      first->lines.insert(first->lines.end(),
                          std::make_move_iterator(map.lines.begin()),
                          std::make_move_iterator(map.lines.end()));
    } else {
      before = joined.size();
      joined.push_back(std::move(map));
    }
  }
  maps_ = std::move(joined);
}

std::vector<PrintedMap> PrintedMaps::Take() {
  Join();
  return std::exchange(maps_, {});
}

}  // namespace simvisor
