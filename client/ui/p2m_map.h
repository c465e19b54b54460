// A picture of a pfn space of any size that fits a screen.
//
// Every cell stands for the same number of pfns, a power of two.  The map is
// built from a stream of runs whose end is not known: it starts with one pfn in
// each cell, and merges neighbouring cells whenever a run goes past the last
// cell.  So its size is bounded, and the list is read once.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_UI_P2M_MAP_H_
#define SIMVISOR_CLIENT_UI_P2M_MAP_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/ui/json.h"
#include "simvisor/v1/common.pb.h"

namespace simvisor::client {

class P2mMap {
 public:
  // The classes of pfns, in the order in which they are shown.
  enum Class { kRam, kIdentity, kForeign, kMissing };
  static constexpr size_t kClasses = 4;

  // Pfns of each class.
  using Counts = std::array<uint64_t, kClasses>;

  // Pfns of one class over the whole map.
  struct Total {
    uint64_t pfns = 0;
    uint64_t stretches = 0;
    uint64_t largest_first = 0;
    uint64_t largest_pfns = 0;
  };

  // Fits the map and the table below it on a screen of `columns` and `rows`,
  // but has at least 4 rows of 8 cells.
  P2mMap(int columns, int rows);

  // Adds the next run, which begins where the last one ended; the first at 0.
  void Add(const v1::P2mRun& run);

  uint64_t pfns() const { return end_; }
  uint64_t cell_pfns() const { return cell_pfns_; }
  // A power of two.
  size_t cells_per_row() const { return cells_per_row_; }
  // Cells that have pfns; the last may be filled in part.
  size_t cells() const { return (end_ + cell_pfns_ - 1) / cell_pfns_; }
  const Counts& cell(size_t i) const { return cells_[i]; }
  const Total& total(Class c) const { return totals_[c]; }

 private:
  // Merges cells in pairs.
  void Fold();
  void AddToTotals(Class c, uint64_t first, uint64_t count);

  const size_t cells_per_row_;
  std::vector<Counts> cells_;
  uint64_t cell_pfns_ = 1;
  uint64_t end_ = 0;
  std::array<Total, kClasses> totals_;
  // The current stretch, of class last_.
  uint64_t stretch_first_ = 0;
  Class last_ = kMissing;
};

// The picture: a line that begins with `title`, rows of cells that each begin
// with the pfn of their first cell, and a table of the classes.
//
// A cell is the letter of its class (R, I, F, '.'), or, if it has several
// classes, the lower-case letter (r, i, f, m) of the largest.  With `colors`, a
// cell is a block in the colour of its class, with a letter if it has several.
std::string RenderMap(const P2mMap& map, absl::string_view title, bool colors);

// The cells with their counts, and the table.
Json MapToJson(const P2mMap& map);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_P2M_MAP_H_
