// A relocated p2m list as bytes, and a list made of such bytes: what the kernel
// of a saved guest knows of its list beside the frames, which change.
//
// In order: size and end of the list; whether there is a tree; backing of the
// mids, in runs; the pages of the structure with their roles; leaves that still
// use the builder's pages, in runs; identity words, in runs; room to balloon.
//
// The bytes come from a stream that anybody may have made, so everything is
// checked: a number must be in range when it is read, each page must be RAM and
// have one place, and the whole must pass CheckInvariants() before the list is
// used.  Until all that is done the list's RAM words name no frames: their
// numbers are those of the pfns.

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "domain/collections/state_codec.h"
#include "domain/p2m/p2m_list.h"
#include "domain/p2m/p2m_tables.h"

namespace simvisor {
namespace {

constexpr uint64_t kSharedIdentity = static_cast<uint64_t>(Backing::kIdentity);
constexpr uint64_t kFilledMissing = 4;  // beside a Backing
// Runs looked at between two looks at a Stop.
constexpr uint64_t kRunsPerStop = 4096;

// "pfns [0x10, 0x18)"
std::string ToString(PfnExtent pfns) {
  return absl::StrFormat("pfns [0x%x, 0x%x)", pfns.first.value(),
                         pfns.end().value());
}

}  // namespace

// Makes a list of what Encode() wrote.
class P2mListDecoder {
 public:
  P2mListDecoder(P2mList& list, StateReader& in) : list_(list), in_(in) {}

  // Fails the reader if what follows the sizes makes no list of `ram`.
  void Decode(const PfnSet& ram);

 private:
  void DecodeMids();
  void DecodePages();
  void DecodeReusedLeaves();
  void DecodeIdentity();
  // False if the page has no place, or its place is taken.
  bool Adopt(PfnExtent pages, PageRole role, uint64_t index);
  bool AdoptOne(Pfn page, PageRole role, uint64_t index);
  bool AdoptBuilderPage(Pfn page, uint64_t leaf);
  bool AdoptPtePage(Pfn page, uint64_t index);
  bool AdoptLeaves(PfnExtent pages, uint64_t leaf);
  bool AdoptTreeMid(Pfn page, uint64_t mid);
  bool IsPrivate(uint64_t mid) const;
  bool IsAllRam(PfnExtent pfns) const;
  // Whether every page that a list must have is there.
  bool IsComplete() const;
  // The first mid whose tree page the notes call a set's, without naming it.
  std::optional<uint64_t> MidWithoutTreePage() const;

  P2mList& list_;
  StateReader& in_;
  std::vector<Pfn> builder_;  // by leaf
};

absl::Status P2mList::Encode(StateWriter& out, Stop stop) const {
  out.Put(p2m_size().value());
  out.Put(last_pfn_.value());
  out.Put(tree_built() ? 1 : 0);
  EncodeMids(out);
  EncodePages(out);
  EncodeReusedLeaves(out);
  SIMVISOR_RETURN_IF_ERROR(EncodeIdentity(out, stop));
  out.Put(extra_);
  return absl::OkStatus();
}

void P2mList::EncodeMids(StateWriter& out) const {
  const auto code = [this](uint64_t mid) {
    return static_cast<uint64_t>(shape_.MidBacking(mid)) |
           (shape_.TreePageFilledMissing(mid) ? kFilledMissing : 0);
  };
  for (uint64_t mid = 0; mid < shape_.mids();) {
    uint64_t end = mid + 1;
    while (end < shape_.mids() && code(end) == code(mid)) ++end;
    out.Put(end - mid);
    out.Put(code(mid));
    mid = end;
  }
}

void P2mList::EncodePages(StateWriter& out) const {
  uint64_t entries = 0;
  pages_.ForEachUse([&](PfnExtent, StructurePages::Use) { ++entries; });
  out.Put(entries);
  pages_.ForEachUse([&](PfnExtent pfns, StructurePages::Use use) {
    out.Put(pfns);
    out.Put(static_cast<uint64_t>(use.role));
    out.Put(use.index);
  });
}

void P2mList::EncodeReusedLeaves(StateWriter& out) const {
  std::vector<std::pair<uint64_t, uint64_t>> runs;
  for (uint64_t leaf = 0; leaf < builder_leaves_; ++leaf) {
    const Pfn page = shape_.LeafPage(leaf);
    if (page.is_none()) continue;
    const auto use = pages_.Find(page);
    if (use->role != PageRole::kBuilderList) continue;
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

absl::Status P2mList::EncodeIdentity(StateWriter& out, Stop stop) const {
  std::vector<P2mRun> runs;
  uint64_t looked_at = 0;
  for (Pfn at(0); at < p2m_size();) {
    if (++looked_at % kRunsPerStop == 0) SIMVISOR_RETURN_IF_ERROR(stop());
    const P2mRun run =
        RunAt(at, p2m_size(), P2mView::kResolved, RunMerge::kByFrame);
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

absl::StatusOr<ListOverWords> P2mList::Restore(const Abi& abi,
                                               const P2mOptions& options,
                                               const RestoredWords& words,
                                               StateReader& in,
                                               AllocationFaults* faults) {
  const Pfn size(in.Get("p2m.size", std::max(words.least_size, Pfn(1)).value(),
                        words.most_size.value()));
  if (size.value() % abi.mid_span() != 0) {
    in.Fail(absl::StrFormat("0x%x pfns; a list has whole mids, of 0x%x",
                            size.value(), abi.mid_span()));
  }
  const Pfn last(in.Get("p2m.last_pfn", 1, size.value()));
  if (last != words.end) {
    in.Fail(absl::StrFormat("0x%x; the image's pfns end at 0x%x", last.value(),
                            words.end.value()));
  }
  const bool tree = in.GetFlag("p2m.tree");
  if (tree != (options.tools_view == ToolsView::kTree)) {
    in.Fail(absl::StrFormat("%d; it must be %d, as the tools' view says", tree,
                            !tree));
  }
  SIMVISOR_RETURN_IF_ERROR(in.status());
  ListOverWords made;
  SIMVISOR_ASSIGN_OR_RETURN(made.words, P2mWords::Create(abi, size, faults));
  made.words->Resize(size);
  made.list.reset(new P2mList(*made.words, options));
  made.list->last_pfn_ = last;
  made.list->frames_replaced_ = true;
  P2mListDecoder(*made.list, in).Decode(words.ram);
  SIMVISOR_RETURN_IF_ERROR(in.status());
  return made;
}

absl::Status CopyFrames(const P2mWords& from, P2mWords& to,
                        P2mList::Stop stop) {
  uint64_t runs = 0;
  for (Pfn at(0); at < from.size();) {
    if (++runs % kRunsPerStop == 0) SIMVISOR_RETURN_IF_ERROR(stop());
    const P2mRun run = from.RunAt(at, from.size(), RunMerge::kByFrame);
    if (run.word.Class() == P2mClass::kRam) {
      to.Fill(run.pfns, RangeFill::Ram(Mfn(run.word.Number())));
    }
    at = run.pfns.end();
  }
  return absl::OkStatus();
}

void P2mListDecoder::Decode(const PfnSet& ram) {
  for (const auto& [first, end] : ram.extents()) {
    list_.words_.Fill(ExtentBetween(first, end),
                      RangeFill::Ram(Mfn(first.value())));
  }
  DecodeMids();
  DecodePages();
  DecodeReusedLeaves();
  DecodeIdentity();
  list_.extra_ = in_.GetSet("p2m.extra", list_.p2m_size());
  if (!in_.ok()) return;
  if (!IsComplete())
    in_.Fail("beside it, pages that every list has are missing");
  if (const auto mid = MidWithoutTreePage(); mid.has_value()) {
    in_.Fail(
        absl::StrFormat("mid %d has no tree page, though a set made it", *mid));
  }
  const absl::Status sound = list_.CheckInvariants();
  if (!sound.ok()) {
    in_.Fail(absl::string_view(sound.message().data(), sound.message().size()));
  }
}

void P2mListDecoder::DecodeMids() {
  const uint64_t mids = list_.MidOf(list_.p2m_size());
  LeafMap& shape = list_.shape_;
  shape.Resize(mids);
  for (uint64_t mid = 0; mid < mids && in_.ok();) {
    const uint64_t count = in_.Get("p2m.mids.count", 1, mids - mid);
    const uint64_t code = in_.Get("p2m.mids.backing", kFilledMissing | 3);
    const uint64_t backing = code & 3;
    const bool is_private = backing == static_cast<uint64_t>(Backing::kPrivate);
    const bool filled_missing = (code & kFilledMissing) != 0;
    if (backing == 3 || (filled_missing && !is_private)) {
      in_.Fail(absl::StrFormat("%d, which is no backing of a mid", code));
    }
    if (in_.ok() && mid + count == mids && code == kSharedIdentity) {
      shape.ShareRest(mid);
      return;
    }
    for (uint64_t i = 0; i < count && in_.ok(); ++i, ++mid) {
      if (is_private) {
        shape.MakePrivate(mid, {Pfn::None(), Pfn::None()});
        shape.SetTreePage(mid, Pfn::None(), filled_missing);
      } else {
        shape.SetShared(mid, static_cast<Backing>(backing));
      }
    }
  }
}

void P2mListDecoder::DecodePages() {
  if (list_.options_.tools_view == ToolsView::kLinear) {
    list_.upper_tables_.assign(UpperTables(*list_.abi_, list_.p2m_size()),
                               Pfn::None());
  }
  Pfn from(0);
  for (uint64_t n = in_.GetCount("p2m.pages", 4); n > 0 && in_.ok(); --n) {
    const PfnExtent pfns = in_.GetPfns("p2m.pages", from, list_.p2m_size());
    if (in_.ok() && !IsAllRam(pfns)) {
      in_.Fail(absl::StrCat(ToString(pfns), "; each of them must be RAM"));
    }
    const auto role = static_cast<PageRole>(in_.Get(
        "p2m.pages.role", static_cast<uint64_t>(PageRole::kUpperTable)));
    const uint64_t index = in_.Get("p2m.pages.index", list_.p2m_size().value());
    if (!in_.ok()) return;
    from = pfns.end();
    list_.pages_.Add(pfns, role, index);
    if (!Adopt(pfns, role, index)) {
      in_.Fail(
          absl::StrFormat("%s for role %d at index %d: the list has no "
                          "such place, or a page there already",
                          ToString(pfns), static_cast<int>(role), index));
    }
  }
  list_.builder_leaves_ = builder_.size();
  for (const Pfn page : builder_) {
    if (page.is_none()) return in_.Fail("a page of the builder's is missing");
  }
}

void P2mListDecoder::DecodeReusedLeaves() {
  uint64_t next = 0;
  for (uint64_t n = in_.GetCount("p2m.reused", 2); n > 0 && in_.ok(); --n) {
    const uint64_t first = in_.Get("p2m.reused.first", next, builder_.size());
    const uint64_t count =
        in_.Get("p2m.reused.count", 1, builder_.size() - first);
    next = first + count;
    for (uint64_t leaf = first; leaf < next && in_.ok(); ++leaf) {
      if (AdoptLeaves({builder_[leaf], PageCount(1)}, leaf)) {
        ++list_.reused_leaves_;
      } else {
        in_.Fail(
            absl::StrFormat("leaf %d has another page, or its mid none", leaf));
      }
    }
  }
}

void P2mListDecoder::DecodeIdentity() {
  const Pfn limit(list_.abi_->plain_word_limit());
  Pfn from(0);
  for (uint64_t n = in_.GetCount("p2m.identity", 3); n > 0 && in_.ok(); --n) {
    const PfnExtent pfns =
        in_.GetPfns("p2m.identity", from, std::min(list_.p2m_size(), limit));
    const Pfn number(in_.Get("p2m.identity.number"));
    if (!in_.ok()) return;
    from = pfns.end();
    const P2mRun under = list_.RunAt(pfns.first, pfns.end(), P2mView::kResolved,
                                     RunMerge::kByClass);
    if (number != pfns.first || !under.word.is_invalid() ||
        under.pfns.end() != pfns.end()) {
      return in_.Fail(absl::StrFormat(
          "0x%x for %s; identity words name their pfn, and have no frame",
          number.value(), ToString(pfns)));
    }
    if (pfns.end() == list_.p2m_size()) {
      // Nothing but identity to the end: whole mids of it are not stored.
      const uint64_t span = list_.abi_->mid_span();
      list_.words_.Resize(list_.p2m_size(),
                          Pfn((pfns.first.value() + span - 1) / span * span));
    }
    list_.words_.Fill(pfns, RangeFill::Identity());
  }
}

bool P2mListDecoder::IsAllRam(PfnExtent pfns) const {
  const P2mRun run = list_.RunAt(pfns.first, pfns.end(), P2mView::kResolved,
                                 RunMerge::kByClass);
  return run.word.Class() == P2mClass::kRam && run.pfns.end() == pfns.end();
}

bool P2mListDecoder::IsPrivate(uint64_t mid) const {
  return mid < list_.shape_.mids() &&
         list_.shape_.MidBacking(mid) == Backing::kPrivate;
}

bool P2mListDecoder::Adopt(PfnExtent pages, PageRole role, uint64_t index) {
  if (role == PageRole::kLeaf) return AdoptLeaves(pages, index);
  for (PageCount i; i < pages.count; i += PageCount(1)) {
    if (!AdoptOne(pages.first + i, role, index + i.value())) return false;
  }
  return true;
}

bool P2mListDecoder::AdoptOne(Pfn page, PageRole role, uint64_t index) {
  const auto adopt = [page](Pfn& place) {
    if (!place.is_none()) return false;
    place = page;
    return true;
  };
  switch (role) {
    case PageRole::kMissingLeaf:
      return adopt(list_.missing_leaf_);
    case PageRole::kIdentityLeaf:
      return adopt(list_.identity_leaf_);
    case PageRole::kMissingPte:
      return adopt(list_.missing_pte_);
    case PageRole::kIdentityPte:
      return adopt(list_.identity_pte_);
    case PageRole::kMidMissing:
      return adopt(list_.mid_missing_);
    case PageRole::kTop:
      return adopt(list_.top_page_);
    case PageRole::kTopByPointer:
      return adopt(list_.top_pointer_page_);
    case PageRole::kUpperTable:
      return index < list_.upper_tables_.size() &&
             adopt(list_.upper_tables_[index]);
    case PageRole::kBuilderList:
      return AdoptBuilderPage(page, index);
    case PageRole::kPte:
      return AdoptPtePage(page, index);
    case PageRole::kTreeMid:
      return AdoptTreeMid(page, index);
    case PageRole::kLeaf:
      break;
  }
  return false;
}

bool P2mListDecoder::AdoptBuilderPage(Pfn page, uint64_t leaf) {
  if (!LeavesStayInPlace(*list_.abi_) ||
      leaf >= list_.LeafOf(list_.p2m_size())) {
    return false;
  }
  if (leaf >= builder_.size()) builder_.resize(leaf + 1, Pfn::None());
  if (!builder_[leaf].is_none()) return false;
  builder_[leaf] = page;
  return true;
}

bool P2mListDecoder::AdoptPtePage(Pfn page, uint64_t index) {
  const uint64_t mid = index / list_.abi_->pmds_per_mid;
  if (!IsPrivate(mid)) return false;
  std::array<Pfn, 2> pages = {list_.shape_.PtePage(mid, 0),
                              list_.shape_.PtePage(mid, 1)};
  Pfn& place = pages[index % list_.abi_->pmds_per_mid];
  if (!place.is_none()) return false;
  place = page;
  list_.shape_.MakePrivate(mid, pages);
  ++list_.pte_pages_;
  return true;
}

bool P2mListDecoder::AdoptLeaves(PfnExtent pages, uint64_t leaf) {
  const uint64_t per_mid = list_.abi_->words_per_page;
  while (!pages.empty()) {
    if (!IsPrivate(leaf / per_mid)) return false;
    const uint64_t count =
        std::min(pages.count.value(), per_mid - leaf % per_mid);
    for (uint64_t i = 0; i < count; ++i) {
      if (!list_.shape_.LeafPage(leaf + i).is_none()) return false;
    }
    list_.shape_.SetLeafPages(leaf, {pages.first, PageCount(count)});
    list_.leaf_pages_ += count;
    leaf += count;
    pages = ExtentBetween(pages.first + PageCount(count), pages.end());
  }
  return true;
}

bool P2mListDecoder::AdoptTreeMid(Pfn page, uint64_t mid) {
  if (mid >= list_.abi_->words_per_page || !IsPrivate(mid) ||
      !list_.shape_.TreePage(mid).is_none()) {
    return false;
  }
  list_.shape_.SetTreePage(mid, page, list_.shape_.TreePageFilledMissing(mid));
  ++list_.tree_mid_pages_;
  return true;
}

bool P2mListDecoder::IsComplete() const {
  std::vector<Pfn> needed = {list_.missing_leaf_, list_.identity_leaf_,
                             list_.missing_pte_, list_.identity_pte_};
  const bool tree = list_.options_.tools_view == ToolsView::kTree;
  for (const Pfn page :
       {list_.mid_missing_, list_.top_page_, list_.top_pointer_page_}) {
    if (tree) needed.push_back(page);
    if (!tree && !page.is_none()) return false;
  }
  needed.insert(needed.end(), list_.upper_tables_.begin(),
                list_.upper_tables_.end());
  for (uint64_t mid = 0; mid < list_.shape_.mids(); ++mid) {
    if (!IsPrivate(mid)) continue;
    for (uint64_t i = 0; i < list_.abi_->pmds_per_mid; ++i) {
      needed.push_back(list_.shape_.PtePage(mid, i));
    }
  }
  return std::none_of(needed.begin(), needed.end(),
                      [](Pfn page) { return page.is_none(); });
}

std::optional<uint64_t> P2mListDecoder::MidWithoutTreePage() const {
  for (uint64_t mid = 0; mid < list_.shape_.mids(); ++mid) {
    if (list_.shape_.TreePageFilledMissing(mid) &&
        list_.shape_.TreePage(mid).is_none()) {
      return mid;
    }
  }
  return std::nullopt;
}

}  // namespace simvisor
