#include "domain/p2m/p2m_words.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <optional>
#include <utility>

#include "base/status_macros.h"
#include "domain/p2m/page_entries.h"

namespace simvisor {
namespace {

int Log2(uint64_t power_of_two) { return __builtin_ctzll(power_of_two); }

constexpr uint64_t AlignUp(uint64_t n, uint64_t to) {
  return (n + to - 1) / to * to;
}

}  // namespace

bool ExtendRun(P2mRun& run, const P2mRun& next, RunMerge merge) {
  if (next.word.Class() != run.word.Class()) return false;
  if (merge == RunMerge::kByFrame && !run.word.is_invalid() &&
      next.word.raw() != run.word.raw() + run.pfns.count.value()) {
    return false;
  }
  run.pfns.count += next.pfns.count;
  return true;
}

absl::StatusOr<std::unique_ptr<P2mWords>> P2mWords::Create(
    const Abi& abi, Pfn capacity, AllocationFaults* faults) {
  SIMVISOR_ASSIGN_OR_RETURN(
      CompactWords cells,
      CompactWords::Create(capacity.value(), Log2(abi.leaf_span()),
                           Log2(abi.mid_span()), faults));
  return std::unique_ptr<P2mWords>(new P2mWords(abi, std::move(cells)));
}

P2mWords::P2mWords(const Abi& abi, CompactWords cells)
    : abi_(&abi), cells_(std::move(cells)) {}

void P2mWords::Resize(Pfn size, Pfn identity_from) {
  assert(identity_from <= size && size <= capacity());
  assert(identity_from == size ||
         identity_from.value() % abi_->mid_span() == 0);
  size_.store(size.value(), std::memory_order_release);
  stored_end_.store(identity_from.value(), std::memory_order_release);
}

void P2mWords::StoreUpTo(Pfn end) {
  const Pfn stored = stored_end();
  if (end <= stored) return;
  assert(end <= size());
  end = std::min(size(), Pfn(AlignUp(end.value(), abi_->mid_span())));
  cells_.SetRange(stored.value(), (end - stored).value(),
                  CellFill(stored, RangeFill::Identity()));
  stored_end_.store(end.value(), std::memory_order_release);
}

void P2mWords::Store(const ChangePermit&, Pfn pfn, P2mWord word) {
  StoreUpTo(pfn + PageCount(1));
  cells_.Set(pfn.value(), ToCell(word));
}

void P2mWords::Fill(const ChangePermit&, PfnExtent pfns,
                    const RangeFill& fill) {
  assert(pfns.end() <= size());
  PageCount count = pfns.count;
  if (fill.p2m_class == P2mClass::kIdentity) {
    // Words that are not stored are identity already.
    const Pfn stored = stored_end();
    if (pfns.first >= stored) return;
    count = std::min(count, stored - pfns.first);
  }
  StoreUpTo(pfns.first + count);
  cells_.SetRange(pfns.first.value(), count.value(),
                  CellFill(pfns.first, fill));
}

void P2mWords::StoreFrames(const ChangePermit& permit, Pfn first,
                           absl::Span<const MfnExtent> frames) {
  PageCount pages;
  for (const MfnExtent& extent : frames) pages += extent.count;
  StoreUpTo(first + pages);
  // Short extents are stored word by word.
  constexpr uint64_t kShort = 32;
  std::array<uint64_t, 512> cells;
  size_t n = 0;
  const auto store = [&] {
    cells_.SetCells(first.value(), absl::MakeConstSpan(cells).subspan(0, n));
    first += PageCount(n);
    n = 0;
  };
  for (const MfnExtent& extent : frames) {
    const uint64_t count = extent.count.value();
    if (count > kShort) {
      store();
      Fill(permit, {first, extent.count}, RangeFill::Ram(extent.first));
      first += extent.count;
      continue;
    }
    if (n + count > cells.size()) store();
    const uint64_t cell = ToCell(P2mWord::Ram(extent.first));
    for (uint64_t i = 0; i < count; ++i) cells[n++] = cell + i;
  }
  store();
}

CompactWords::Fill P2mWords::CellFill(Pfn first, const RangeFill& fill) {
  switch (fill.p2m_class) {
    case P2mClass::kIdentity:
      return {ToCell(P2mWord::Identity(first)), true};
    case P2mClass::kRam:
      return {ToCell(P2mWord::Ram(fill.first_mfn)), true};
    case P2mClass::kMissing:
    case P2mClass::kForeign:
      break;
  }
  return {ToCell(P2mWord::Invalid()), false};
}

CompactWords::Run P2mWords::CellsAt(Pfn first, Pfn limit) const {
  const Pfn stored = stored_end();
  if (first < stored) {
    return cells_.RunAt(first.value(), std::min(limit, stored).value());
  }
  CompactWords::Run run = {first.value(), (limit - first).value(),
                           CellFill(first, RangeFill::Identity())};
  if (run.count == 1) run.fill.counts_up = false;
  return run;
}

template <typename Visit>
void P2mWords::ForEachRun(PfnExtent pfns, Visit visit) const {
  Pfn at = pfns.first;
  bool stopped = false;
  const auto count = [&](const CompactWords::Run& cells) -> uint64_t {
    const uint64_t taken = visit(cells);
    at += PageCount(taken);
    stopped = taken == 0;
    return taken;
  };
  const Pfn stored = stored_end();
  if (pfns.first < stored) {
    cells_.ForEachRun(pfns.first.value(), std::min(pfns.end(), stored).value(),
                      count);
  }
  while (!stopped && at < pfns.end()) count(CellsAt(at, pfns.end()));
}

P2mRun P2mWords::ToWords(const CompactWords::Run& cells) {
  const P2mWord word = FromCell(cells.fill.first);
  // Some runs of cells are not runs of words: cells count up from INVALID to
  // mfn 0, and cells are equal if two words name the same frame.
  const bool one = word.is_invalid() == cells.fill.counts_up;
  return {{Pfn(cells.first), PageCount(one ? 1 : cells.count)}, word};
}

P2mRun P2mWords::RunAt(Pfn pfn, Pfn end, RunMerge merge) const {
  assert(pfn < end && end <= size());
  std::optional<P2mRun> run;
  const auto extend = [&](const CompactWords::Run& cells) -> uint64_t {
    const P2mRun next = ToWords(cells);
    if (!run.has_value()) {
      run = next;
    } else if (!ExtendRun(*run, next, merge)) {
      return 0;
    }
    return next.pfns.count.value();
  };
  ForEachRun(ExtentBetween(pfn, end), extend);
  return *run;
}

Pfn P2mWords::CollectFrames(PfnExtent pfns, size_t max_runs,
                            std::vector<MfnExtent>& frames) const {
  assert(!pfns.empty() && pfns.end() <= size());
  Pfn at = pfns.first;
  const auto collect = [&](const CompactWords::Run& cells) -> uint64_t {
    if (max_runs == 0) return 0;
    --max_runs;
    const P2mRun run = ToWords(cells);
    if (run.word.Class() == P2mClass::kRam) {
      const MfnExtent extent = {Mfn(run.word.Number()), run.pfns.count};
      if (!frames.empty() && frames.back().end() == extent.first) {
        frames.back().count += extent.count;
      } else {
        frames.push_back(extent);
      }
    }
    at = run.pfns.end();
    return run.pfns.count.value();
  };
  ForEachRun(pfns, collect);
  return at;
}

P2mSummary CountWords(const P2mWords& words) {
  P2mSummary sum;
  sum.p2m_size = words.size().value();
  for (Pfn at(0); at < words.size();) {
    const P2mRun run = words.PieceAt(at, words.size());
    const uint64_t count = run.pfns.count.value();
    switch (run.word.Class()) {
      case P2mClass::kRam:
        sum.ram += count;
        break;
      case P2mClass::kIdentity:
        sum.identity += count;
        break;
      case P2mClass::kForeign:
        sum.foreign += count;
        break;
      case P2mClass::kMissing:
        sum.missing += count;
        break;
    }
    at = run.pfns.end();
  }
  return sum;
}

void RenderWords(const P2mWords& words, Pfn first, absl::Span<char> page) {
  const Abi& abi = words.abi();
  const Pfn end = first + PageCount(abi.leaf_span());
  assert(end <= words.size());
  for (Pfn at = first; at < end;) {
    const P2mRun run = words.RunAt(at, end, RunMerge::kByFrame);
    const uint64_t word = run.word.ToAbi(abi);
    const uint64_t step = run.word.is_invalid() ? 0 : 1;
    const uint64_t slot = (at - first).value();
    for (uint64_t i = 0; i < run.pfns.count.value(); ++i) {
      StoreEntry(page, abi.word_bytes, slot + i, word + i * step);
    }
    at = run.pfns.end();
  }
}

}  // namespace simvisor
