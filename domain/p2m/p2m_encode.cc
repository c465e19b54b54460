#include <cstdint>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "domain/p2m/p2m_codec.h"

namespace simvisor {
namespace {

void EncodeMids(const LeafMap& map, StateWriter& out) {
  const auto code = [&map](uint64_t mid) {
    return static_cast<uint64_t>(map.MidBacking(mid)) |
           (map.TreePageFilledMissing(mid) ? kMidFilledMissing : 0);
  };
  for (uint64_t mid = 0; mid < map.mids();) {
    uint64_t end = mid + 1;
    while (end < map.mids() && code(end) == code(mid)) ++end;
    out.Put(end - mid);
    out.Put(code(mid));
    mid = end;
  }
}

void EncodePages(const StructurePages& pages, StateWriter& out) {
  uint64_t entries = 0;
  pages.ForEachUse([&](PfnExtent, StructurePages::Use) { ++entries; });
  out.Put(entries);
  pages.ForEachUse([&](PfnExtent pfns, StructurePages::Use use) {
    out.Put(pfns);
    out.Put(static_cast<uint64_t>(use.role));
    out.Put(use.index);
  });
}

void EncodeKeptLeaves(const P2mShape& shape, StateWriter& out) {
  std::vector<std::pair<uint64_t, uint64_t>> runs;
  for (uint64_t leaf = 0; leaf < shape.builder_leaves; ++leaf) {
    const Pfn page = shape.map.LeafPage(leaf);
    if (page.is_none()) continue;
    if (shape.pages.Find(page)->role != PageRole::kBuilderList) continue;
    if (!runs.empty() && runs.back().first + runs.back().second == leaf) {
      ++runs.back().second;
    } else {
      runs.emplace_back(leaf, 1);
    }
  }
  out.Put(runs.size());
  for (const auto& [first, count] : runs) {
    out.Put(first);
    out.Put(count);
  }
}

absl::Status EncodeIdentity(const P2mWords& words, StateWriter& out,
                            StopCheck stop) {
  std::vector<P2mRun> runs;
  uint64_t looked_at = 0;
  for (Pfn at(0); at < words.size();) {
    if (++looked_at % kRunsPerStop == 0) SIMVISOR_RETURN_IF_ERROR(stop());
    const P2mRun run = words.RunAt(at, words.size(), RunMerge::kByFrame);
    if (run.word.Class() == P2mClass::kIdentity) runs.push_back(run);
    at = run.pfns.end();
  }
  out.Put(runs.size());
  for (const P2mRun& run : runs) {
    out.Put(run.pfns);
    out.Put(run.word.Number());
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status EncodeList(const P2mList& list, StateWriter& out, StopCheck stop) {
  const ToolsPages& tools = list.tools();
  const bool tree = tools.view() == ToolsView::kTree;
  out.Put(list.p2m_size().value());
  out.Put(list.last_pfn().value());
  out.Put(tree && !tools.root_page().is_none() ? 1 : 0);
  EncodeMids(list.shape().map, out);
  EncodePages(list.structure(), out);
  EncodeKeptLeaves(list.shape(), out);
  SIMVISOR_RETURN_IF_ERROR(EncodeIdentity(list.words(), out, stop));
  out.Put(list.extra_regions());
  return absl::OkStatus();
}

}  // namespace simvisor
