#include "domain/collections/run_list.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>

namespace simvisor {

size_t RunList::Find(uint64_t at) const {
  const auto behind = std::upper_bound(
      runs_.begin(), runs_.end(), at,
      [](uint64_t cell, const Piece& piece) { return cell < piece.first; });
  return static_cast<size_t>(behind - runs_.begin()) - 1;
}

void RunList::Join(size_t run) {
  const uint64_t count = runs_[run + 1].first - runs_[run].first;
  const uint64_t next_count = EndOf(run + 1) - runs_[run + 1].first;
  Fill fill = runs_[run].fill;
  const Fill next = runs_[run + 1].fill;
  // A single cell counts as either shape.
  if (count == 1) {
    fill.counts_up =
        next_count == 1 ? next.first != fill.first : next.counts_up;
  }
  if (next_count > 1 && next.counts_up != fill.counts_up) return;
  if (next.first != fill.At(count)) return;
  runs_[run].fill = fill;
  runs_.erase(runs_.begin() + static_cast<ptrdiff_t>(run) + 1);
}

void RunList::Set(uint64_t first, uint64_t count, Fill fill) {
  assert(count > 0 && first < size_ && count <= size_ - first);
  const uint64_t end = first + count;
  const size_t head = Find(first);
  const size_t tail = Find(end - 1);
  std::array<Piece, 3> pieces;
  size_t n = 0;
  if (runs_[head].first < first) pieces[n++] = runs_[head];
  const size_t middle = head + n;
  pieces[n++] = {static_cast<uint32_t>(first), fill};
  if (end < EndOf(tail)) {
    const Piece& rest = runs_[tail];
    pieces[n++] = {static_cast<uint32_t>(end),
                   {rest.fill.At(end - rest.first), rest.fill.counts_up}};
  }
  Replace(head, tail + 1 - head, {pieces.data(), n});
  // Cutting a run may leave a single cell, which can join other runs than
  // before; so the ends of what is left are checked, too.
  const size_t lowest = middle - std::min<size_t>(middle, 2);
  for (size_t run = middle + 2; run-- > lowest;) {
    if (run + 1 < runs_.size()) Join(run);
  }
}

void RunList::Replace(size_t run, size_t count,
                      absl::Span<const Piece> pieces) {
  const auto at = runs_.begin() + static_cast<ptrdiff_t>(run);
  const size_t shared = std::min(count, pieces.size());
  std::copy_n(pieces.begin(), shared, at);
  const auto behind = at + static_cast<ptrdiff_t>(shared);
  if (count > shared) {
    runs_.erase(behind, at + static_cast<ptrdiff_t>(count));
  } else {
    runs_.insert(behind, pieces.begin() + shared, pieces.end());
  }
}

CompactWords::Run RunList::RunAt(uint64_t first, uint64_t limit) const {
  assert(first < limit && limit <= size_);
  const size_t run = Find(first);
  const Fill fill = runs_[run].fill;
  const uint64_t count = std::min(EndOf(run), limit) - first;
  return {first,
          count,
          {fill.At(first - runs_[run].first), fill.counts_up && count > 1}};
}

}  // namespace simvisor
