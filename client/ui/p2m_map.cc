#include "client/ui/p2m_map.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/ui/quantities.h"

namespace simvisor::client {
namespace {

// "0x", nine digits for the pfns of the largest list, and a space.
constexpr int kLabelColumns = 12;
// Rows besides the map: title, head of the table, four classes, legend, and the
// shell's prompt.
constexpr int kOtherRows = 8;

// How a class looks.
struct Look {
  v1::P2mClass p2m_class;
  absl::string_view name;
  char pure;
  char mixed;
  absl::string_view block;  // background colour, with dark letters
};
constexpr Look kLooks[P2mMap::kClasses] = {
    {v1::P2M_CLASS_RAM, "RAM", 'R', 'r', "\033[30;42m"},
    {v1::P2M_CLASS_IDENTITY, "identity", 'I', 'i', "\033[30;46m"},
    {v1::P2M_CLASS_FOREIGN, "foreign", 'F', 'f', "\033[30;45m"},
    {v1::P2M_CLASS_MISSING, "missing", '.', 'm', "\033[97;100m"},
};
constexpr char kReset[] = "\033[0m";

P2mMap::Class ClassOf(v1::P2mClass p2m_class) {
  switch (p2m_class) {
    case v1::P2M_CLASS_RAM:
      return P2mMap::kRam;
    case v1::P2M_CLASS_IDENTITY:
      return P2mMap::kIdentity;
    case v1::P2M_CLASS_FOREIGN:
      return P2mMap::kForeign;
    default:
      return P2mMap::kMissing;
  }
}

const Look& LookOf(const P2mMap::Counts& cell) {
  return kLooks[std::max_element(cell.begin(), cell.end()) - cell.begin()];
}

bool IsMixed(const P2mMap::Counts& cell) {
  return std::count_if(cell.begin(), cell.end(),
                       [](uint64_t pfns) { return pfns != 0; }) > 1;
}

char LetterOf(const P2mMap::Counts& cell) {
  const Look& look = LookOf(cell);
  return IsMixed(cell) ? look.mixed : look.pure;
}

// The cells of one row, with an escape sequence only where the colour changes.
std::string RenderRow(const P2mMap& map, size_t first, bool colors) {
  std::string row;
  const Look* last = nullptr;
  const size_t end = std::min(first + map.cells_per_row(), map.cells());
  for (size_t i = first; i < end; ++i) {
    const P2mMap::Counts& cell = map.cell(i);
    if (!colors) {
      row += LetterOf(cell);
      continue;
    }
    const Look& look = LookOf(cell);
    if (&look != last) absl::StrAppend(&row, look.block);
    last = &look;
    row += IsMixed(cell) ? look.mixed : ' ';
  }
  if (colors) row += kReset;
  return row;
}

std::string RenderClass(const Look& look, const P2mMap::Total& total,
                        uint64_t pfns, bool colors) {
  constexpr double kPagesPerMib = 256;
  const std::string sign = colors ? absl::StrCat(look.block, " ", kReset)
                                  : std::string(1, look.pure);
  return absl::StrFormat(
      "%s %-9s %10d %10.1f %6.2f%% %9d  [0x%x->0x%x]\n", sign, look.name,
      total.pfns, static_cast<double>(total.pfns) / kPagesPerMib,
      100.0 * static_cast<double>(total.pfns) / static_cast<double>(pfns),
      total.stretches, total.largest_first,
      total.largest_first + total.largest_pfns);
}

}  // namespace

P2mMap::P2mMap(int columns, int rows)
    : cells_per_row_(std::bit_floor(
          static_cast<size_t>(std::max(columns - kLabelColumns, 8)))),
      cells_(cells_per_row_ *
             static_cast<size_t>(std::max(rows - kOtherRows, 4))) {}

void P2mMap::Fold() {
  for (size_t i = 0; i < cells_.size(); ++i) {
    const Counts half = std::exchange(cells_[i], Counts{});
    for (size_t c = 0; c < kClasses; ++c) cells_[i / 2][c] += half[c];
  }
  cell_pfns_ *= 2;
}

void P2mMap::AddToTotals(Class c, uint64_t first, uint64_t count) {
  Total& total = totals_[c];
  // Runs of two responses are not merged.
  if (total.stretches == 0 || c != last_) {
    stretch_first_ = first;
    ++total.stretches;
  }
  last_ = c;
  total.pfns += count;
  const uint64_t stretch = first + count - stretch_first_;
  if (stretch > total.largest_pfns) {
    total.largest_first = stretch_first_;
    total.largest_pfns = stretch;
  }
}

void P2mMap::Add(const v1::P2mRun& run) {
  const Class c = ClassOf(run.p2m_class());
  AddToTotals(c, end_, run.count());
  uint64_t at = end_;
  end_ += run.count();
  while (cells() > cells_.size()) Fold();
  while (at < end_) {
    const uint64_t cell = at / cell_pfns_;
    const uint64_t next = std::min(end_, (cell + 1) * cell_pfns_);
    cells_[cell][c] += next - at;
    at = next;
  }
}

std::string RenderMap(const P2mMap& map, absl::string_view title, bool colors) {
  std::string text = absl::StrFormat(
      "%s: %d pfns, %s; a cell is %d (%s)\n", title, map.pfns(),
      FormatPages(map.pfns()), map.cell_pfns(), FormatPages(map.cell_pfns()));
  if (map.pfns() == 0) return text;
  const std::string last =
      absl::StrFormat("0x%x", (map.cells() - 1) / map.cells_per_row() *
                                  map.cells_per_row() * map.cell_pfns());
  bool mixed = false;
  for (size_t i = 0; i < map.cells(); ++i) {
    mixed = mixed || IsMixed(map.cell(i));
    if (i % map.cells_per_row() != 0) continue;
    absl::StrAppendFormat(&text, "%*s %s\n", static_cast<int>(last.size()),
                          absl::StrFormat("0x%x", i * map.cell_pfns()),
                          RenderRow(map, i, colors));
  }
  absl::StrAppendFormat(&text, "%11s %10s %10s %7s %9s  %s\n", "", "pfns",
                        "MiB", "share", "stretches", "largest");
  for (size_t c = 0; c < P2mMap::kClasses; ++c) {
    const P2mMap::Total& total = map.total(static_cast<P2mMap::Class>(c));
    if (total.pfns == 0) continue;
    absl::StrAppend(&text, RenderClass(kLooks[c], total, map.pfns(), colors));
  }
  if (mixed) {
    absl::StrAppend(&text, colors ? "A letter: a cell of several classes, in "
                                    "the colour of the largest.\n"
                                  : "Lower case: a cell of several classes, by "
                                    "the largest (m: missing).\n");
  }
  return text;
}

Json MapToJson(const P2mMap& map) {
  Json cells = Json::array();
  for (size_t i = 0; i < map.cells(); ++i) {
    Json cell = {{"first_pfn", i * map.cell_pfns()}};
    for (size_t c = 0; c < P2mMap::kClasses; ++c) {
      if (map.cell(i)[c] == 0) continue;
      cell[absl::AsciiStrToLower(kLooks[c].name)] = map.cell(i)[c];
    }
    cells.push_back(std::move(cell));
  }
  Json classes = Json::array();
  for (size_t c = 0; c < P2mMap::kClasses; ++c) {
    const P2mMap::Total& total = map.total(static_cast<P2mMap::Class>(c));
    if (total.pfns == 0) continue;
    classes.push_back({{"class", v1::P2mClass_Name(kLooks[c].p2m_class)},
                       {"pfns", total.pfns},
                       {"stretches", total.stretches},
                       {"largest_first_pfn", total.largest_first},
                       {"largest_pfns", total.largest_pfns}});
  }
  return {{"pfns", map.pfns()},
          {"cell_pfns", map.cell_pfns()},
          {"cells_per_row", map.cells_per_row()},
          {"cells", std::move(cells)},
          {"classes", std::move(classes)}};
}

}  // namespace simvisor::client
