// What can be read of a list: its structure, its dumps, its figures.

#include <string>

#include "absl/strings/str_format.h"
#include "tests/vectors/list_replay.h"

namespace simvisor {
namespace {

std::string Name(Backing backing) {
  switch (backing) {
    case Backing::kMissing:
      return "missing";
    case Backing::kIdentity:
      return "identity";
    case Backing::kPrivate:
      break;
  }
  return "private";
}

void Count(Json& runs, const std::string& kind) {
  if (!runs.empty() && runs.back()[0] == kind) {
    runs.back()[1] = runs.back()[1].get<uint64_t>() + 1;
  } else {
    runs.push_back({kind, 1});
  }
}

}  // namespace

void ListReplay::AddReadsTo(Operations& operations) {
  operations.Add("leaf", "leaf", this, &ListReplay::Leaf);
  operations.Add("mid", "mid", this, &ListReplay::Mid);
  operations.Add("leaf_runs", "mid", this, &ListReplay::LeafRuns);
  operations.Add("top_runs", "count", this, &ListReplay::TopRuns);
  operations.Add("tree_slots", "top", this, &ListReplay::TreeSlots);
  operations.Add("tree_fresh", "", this, &ListReplay::TreeFresh);
  operations.Add("dump_raw", "", this, &ListReplay::DumpRaw);
  operations.Add("dump_resolved", "", this, &ListReplay::DumpResolved);
  operations.Add("summary", "", this, &ListReplay::Summary);
  operations.Add("tools_max_pfn", "", this, &ListReplay::ToolsMaxPfn);
}

Json ListReplay::Leaf(const Json& step) {
  return Name(list_->shape().LeafBacking(step["leaf"].get<uint64_t>()));
}
Json ListReplay::Mid(const Json& step) {
  return Name(list_->shape().map.MidBacking(step["mid"].get<uint64_t>()));
}

Json ListReplay::LeafRuns(const Json& step) {
  const uint64_t mid = step["mid"];
  const bool whole = list_->shape().map.MidBacking(mid) != Backing::kPrivate;
  Json runs = Json::array();
  for (uint64_t i = 0; i < abi_.words_per_page; ++i) {
    const Backing leaf =
        list_->shape().LeafBacking(mid * abi_.words_per_page + i);
    Count(runs, Name(leaf) + (whole ? "(whole mid)" : ""));
  }
  return runs;
}

Json ListReplay::TopRuns(const Json& step) {
  Json runs = Json::array();
  for (uint64_t i = 0; i < step["count"].get<uint64_t>(); ++i) {
    const P2mTree::TopSlot slot = TreeOf(*list_).TopSlotAt(i);
    Count(runs, slot == P2mTree::TopSlot::kOwn          ? "own"
                : slot == P2mTree::TopSlot::kMidMissing ? "mid_missing"
                                                        : "stale");
  }
  return runs;
}

Json ListReplay::TreeSlots(const Json& step) {
  const uint64_t top = step["top"];
  if (TreeOf(*list_).TopSlotAt(top) != P2mTree::TopSlot::kOwn) {
    return Json::array({Json::array({"p2m_missing", abi_.words_per_page})});
  }
  Json runs = Json::array();
  for (uint64_t i = 0; i < abi_.words_per_page; ++i) {
    const P2mTree::MidSlot slot = TreeOf(*list_).MidSlotAt(top, i);
    Count(runs, slot == P2mTree::MidSlot::kLeaf      ? "leaf"
                : slot == P2mTree::MidSlot::kMissing ? "p2m_missing"
                                                     : "p2m_identity");
  }
  return runs;
}

Json ListReplay::TreeFresh(const Json&) { return list_->fresh(); }

// The kernel's dump shows foreign words as pfns, so runs join over them.
Json ListReplay::Dump(P2mView view) const {
  Json lines = Json::array();
  std::string last_class;
  Pfn start;
  for (Pfn at(0); at < list_.words->size();) {
    const P2mRun run =
        list_.RunAt(at, list_.words->size(), view, RunMerge::kByClass);
    const bool foreign = run.word.Class() == P2mClass::kForeign;
    const std::string name(
        P2mClassName(foreign ? P2mClass::kRam : run.word.Class()));
    if (!lines.empty() && name == last_class) {
      lines.erase(lines.size() - 1);
    } else {
      start = at;
    }
    at = run.pfns.end();
    last_class = name;
    lines.push_back(
        absl::StrFormat(" [0x%x->0x%x] %s", start.value(), at.value(), name));
  }
  return lines;
}
Json ListReplay::DumpRaw(const Json&) { return Dump(P2mView::kRaw); }
Json ListReplay::DumpResolved(const Json&) { return Dump(P2mView::kResolved); }

Json ListReplay::Summary(const Json&) {
  const P2mSummary s = list_.Summary();
  const uint64_t leaves =
      s.private_leaves + s.missing_leaves + s.identity_leaves;
  const uint64_t mids = s.private_mids + s.missing_mids + s.identity_mids;
  return {{"p2m_size", s.p2m_size},
          {"va_bytes", s.area_bytes},
          {"pfns",
           {{"ram", s.ram},
            {"identity", s.identity},
            {"missing", s.missing},
            {"foreign", s.foreign}}},
          {"leaves",
           {{"private", s.private_leaves},
            {"missing", s.missing_leaves},
            {"identity", s.identity_leaves},
            {"total", leaves}}},
          {"mids",
           {{"private", s.private_mids},
            {"missing", s.missing_mids},
            {"identity", s.identity_mids},
            {"total", mids}}},
          {"frames",
           {{"fixed", s.fixed_frames},
            {"pte", s.pte_frames},
            {"tree_mid", s.tree_mid_frames},
            {"metadata", s.metadata_frames()},
            {"leaf", s.leaf_frames}}},
          {"tools_max_pfn", s.tools_max_pfn}};
}

Json ListReplay::ToolsMaxPfn(const Json&) { return list_.last_pfn().value(); }

}  // namespace simvisor
