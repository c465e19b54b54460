// Decodes a p2m list.  The bytes come from a stream that cannot be trusted, so
// everything is checked: each number must be in range when it is read, each
// page must be RAM and have one place, and the finished list must pass
// CheckInvariants().  The RAM words name no frames: their numbers are their
// pfns.

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "domain/p2m/p2m_codec.h"

namespace simvisor {
namespace {

constexpr uint64_t kSharedIdentity = static_cast<uint64_t>(Backing::kIdentity);

// "pfns [0x10, 0x18)"
std::string ToString(PfnExtent pfns) {
  return absl::StrFormat("pfns [0x%x, 0x%x)", pfns.first.value(),
                         pfns.end().value());
}

}  // namespace

// Makes a list of what EncodeList() wrote.
class P2mDecoder {
 public:
  // Begins with a list over `words`, which are all INVALID, without pages.
  P2mDecoder(P2mWords& words, const P2mOptions& options, Pfn last_pfn,
             StateReader& in)
      : list_(new P2mList(words, options.tools_view)),
        shape_(list_->shape_),
        in_(in) {
    list_->last_pfn_ = last_pfn;
    list_->MakeStale();
  }

  // Decodes everything after the sizes; fails the reader unless it is a list
  // whose RAM pfns are `ram`.
  void Decode(const PfnSet& ram);
  std::unique_ptr<P2mList> Take() { return std::move(list_); }

 private:
  void DecodeMids();
  void DecodePages();
  void DecodeReusedLeaves();
  void DecodeIdentity();
  // False if the list has no such place, or the place is taken.
  bool Adopt(PfnExtent pages, PageRole role, uint64_t index);
  bool AdoptOne(Pfn page, PageRole role, uint64_t index);
  bool AdoptBuilderPage(Pfn page, uint64_t leaf);
  bool AdoptPtePage(Pfn page, uint64_t index);
  bool AdoptLeaves(PfnExtent pages, uint64_t leaf);
  bool IsPrivate(uint64_t mid) const;
  bool IsAllRam(PfnExtent pfns) const;
  // Whether the list has every page that it must have.
  bool IsComplete() const;
  // The first mid with a tree page made by a set that the notes do not name.
  std::optional<uint64_t> MidWithoutTreePage() const;

  std::unique_ptr<P2mList> list_;
  P2mShape& shape_;  // of list_
  StateReader& in_;
  std::vector<Pfn> builder_;  // by leaf
};

absl::StatusOr<ListOverWords> DecodeList(const Abi& abi,
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
  P2mDecoder decoder(*made.words, options, last, in);
  decoder.Decode(words.ram);
  SIMVISOR_RETURN_IF_ERROR(in.status());
  made.list = decoder.Take();
  return made;
}

void P2mDecoder::Decode(const PfnSet& ram) {
  for (const auto& [first, end] : ram.extents()) {
    shape_.words.Fill(shape_.words.PermitWhileNew(), ExtentBetween(first, end),
                      RangeFill::Ram(Mfn(first.value())));
  }
  DecodeMids();
  DecodePages();
  DecodeReusedLeaves();
  DecodeIdentity();
  list_->extra_ = in_.GetSet("p2m.extra", shape_.words.size());
  if (!in_.ok()) return;
  if (!IsComplete())
    in_.Fail("the notes before it lack pages that every list has");
  if (const auto mid = MidWithoutTreePage(); mid.has_value()) {
    in_.Fail(
        absl::StrFormat("mid %d has no tree page, though a set made it", *mid));
  }
  const absl::Status sound = list_->CheckInvariants();
  if (!sound.ok()) {
    in_.Fail(absl::string_view(sound.message().data(), sound.message().size()));
  }
}

void P2mDecoder::DecodeMids() {
  const uint64_t mids = shape_.MidOf(shape_.words.size());
  LeafMap& map = shape_.map;
  map.Resize(mids);
  for (uint64_t mid = 0; mid < mids && in_.ok();) {
    const uint64_t count = in_.Get("p2m.mids.count", 1, mids - mid);
    const uint64_t code = in_.Get("p2m.mids.backing", kMidFilledMissing | 3);
    const uint64_t backing = code & 3;
    const bool is_private = backing == static_cast<uint64_t>(Backing::kPrivate);
    const bool filled_missing = (code & kMidFilledMissing) != 0;
    if (backing == 3 || (filled_missing && !is_private)) {
      in_.Fail(absl::StrFormat("%d is not the backing of a mid", code));
    }
    if (in_.ok() && mid + count == mids && code == kSharedIdentity) {
      map.ShareRest(mid);
      return;
    }
    for (uint64_t i = 0; i < count && in_.ok(); ++i, ++mid) {
      if (is_private) {
        map.MakePrivate(mid, {Pfn::None(), Pfn::None()});
        map.SetTreePage(mid, Pfn::None(), filled_missing);
      } else {
        map.SetShared(mid, static_cast<Backing>(backing));
      }
    }
  }
}

void P2mDecoder::DecodePages() {
  Pfn from(0);
  for (uint64_t n = in_.GetCount("p2m.pages", 4); n > 0 && in_.ok(); --n) {
    const PfnExtent pfns = in_.GetPfns("p2m.pages", from, shape_.words.size());
    if (in_.ok() && !IsAllRam(pfns)) {
      in_.Fail(absl::StrCat(ToString(pfns), "; each of them must be RAM"));
    }
    const auto role = static_cast<PageRole>(in_.Get(
        "p2m.pages.role", static_cast<uint64_t>(PageRole::kUpperTable)));
    const uint64_t index =
        in_.Get("p2m.pages.index", shape_.words.size().value());
    if (!in_.ok()) return;
    from = pfns.end();
    shape_.pages.Add(pfns, role, index);
    if (!Adopt(pfns, role, index)) {
      in_.Fail(
          absl::StrFormat("%s for role %d at index %d: the list has no "
                          "such place, or the place is taken",
                          ToString(pfns), static_cast<int>(role), index));
    }
  }
  shape_.builder_leaves = builder_.size();
  for (const Pfn page : builder_) {
    if (page.is_none()) return in_.Fail("a page of the builder is missing");
  }
}

void P2mDecoder::DecodeReusedLeaves() {
  uint64_t next = 0;
  for (uint64_t n = in_.GetCount("p2m.reused", 2); n > 0 && in_.ok(); --n) {
    const uint64_t first = in_.Get("p2m.reused.first", next, builder_.size());
    const uint64_t count =
        in_.Get("p2m.reused.count", 1, builder_.size() - first);
    next = first + count;
    for (uint64_t leaf = first; leaf < next && in_.ok(); ++leaf) {
      if (AdoptLeaves({builder_[leaf], PageCount(1)}, leaf)) {
        ++shape_.kept_leaves;
      } else {
        in_.Fail(
            absl::StrFormat("leaf %d has a page, or its mid is shared", leaf));
      }
    }
  }
}

void P2mDecoder::DecodeIdentity() {
  const Pfn limit(shape_.abi.plain_word_limit());
  Pfn from(0);
  for (uint64_t n = in_.GetCount("p2m.identity", 3); n > 0 && in_.ok(); --n) {
    const PfnExtent pfns =
        in_.GetPfns("p2m.identity", from, std::min(shape_.words.size(), limit));
    const Pfn number(in_.Get("p2m.identity.number"));
    if (!in_.ok()) return;
    from = pfns.end();
    const P2mRun under =
        shape_.words.RunAt(pfns.first, pfns.end(), RunMerge::kByClass);
    if (number != pfns.first || !under.word.is_invalid() ||
        under.pfns.end() != pfns.end()) {
      return in_.Fail(absl::StrFormat(
          "0x%x for %s; identity words name their pfn and have no frame",
          number.value(), ToString(pfns)));
    }
    if (pfns.end() == shape_.words.size()) {
      // All words to the end are identity: whole mids of them are not stored.
      const uint64_t span = shape_.abi.mid_span();
      shape_.words.Resize(shape_.words.size(),
                          Pfn((pfns.first.value() + span - 1) / span * span));
    }
    shape_.words.Fill(shape_.words.PermitWhileNew(), pfns,
                      RangeFill::Identity());
  }
}

bool P2mDecoder::IsAllRam(PfnExtent pfns) const {
  const P2mRun run =
      shape_.words.RunAt(pfns.first, pfns.end(), RunMerge::kByClass);
  return run.word.Class() == P2mClass::kRam && run.pfns.end() == pfns.end();
}

bool P2mDecoder::IsPrivate(uint64_t mid) const {
  return mid < shape_.map.mids() &&
         shape_.map.MidBacking(mid) == Backing::kPrivate;
}

bool P2mDecoder::Adopt(PfnExtent pages, PageRole role, uint64_t index) {
  if (role == PageRole::kLeaf) return AdoptLeaves(pages, index);
  for (PageCount i; i < pages.count; i += PageCount(1)) {
    if (!AdoptOne(pages.first + i, role, index + i.value())) return false;
  }
  return true;
}

bool P2mDecoder::AdoptOne(Pfn page, PageRole role, uint64_t index) {
  const auto put = [page](Pfn& place) {
    if (!place.is_none()) return false;
    place = page;
    return true;
  };
  switch (role) {
    case PageRole::kMissingLeaf:
      return put(shape_.missing_leaf);
    case PageRole::kIdentityLeaf:
      return put(shape_.identity_leaf);
    case PageRole::kMissingPte:
      return put(shape_.missing_pte);
    case PageRole::kIdentityPte:
      return put(shape_.identity_pte);
    case PageRole::kBuilderList:
      return AdoptBuilderPage(page, index);
    case PageRole::kPte:
      return AdoptPtePage(page, index);
    default:
      return list_->tools_->Adopt(page, role, index);
  }
}

bool P2mDecoder::AdoptBuilderPage(Pfn page, uint64_t leaf) {
  if (!LeavesStayInPlace(shape_.abi) ||
      leaf >= shape_.LeafOf(shape_.words.size())) {
    return false;
  }
  if (leaf >= builder_.size()) builder_.resize(leaf + 1, Pfn::None());
  if (!builder_[leaf].is_none()) return false;
  builder_[leaf] = page;
  return true;
}

bool P2mDecoder::AdoptPtePage(Pfn page, uint64_t index) {
  const uint64_t mid = index / shape_.abi.pmds_per_mid;
  if (!IsPrivate(mid)) return false;
  std::array<Pfn, 2> pages = {shape_.map.PtePage(mid, 0),
                              shape_.map.PtePage(mid, 1)};
  Pfn& place = pages[index % shape_.abi.pmds_per_mid];
  if (!place.is_none()) return false;
  place = page;
  shape_.map.MakePrivate(mid, pages);
  ++shape_.pte_pages;
  return true;
}

bool P2mDecoder::AdoptLeaves(PfnExtent pages, uint64_t leaf) {
  const uint64_t per_mid = shape_.abi.words_per_page;
  while (!pages.empty()) {
    if (!IsPrivate(leaf / per_mid)) return false;
    const uint64_t count =
        std::min(pages.count.value(), per_mid - leaf % per_mid);
    for (uint64_t i = 0; i < count; ++i) {
      if (!shape_.map.LeafPage(leaf + i).is_none()) return false;
    }
    shape_.map.SetLeafPages(leaf, {pages.first, PageCount(count)});
    shape_.leaf_pages += count;
    leaf += count;
    pages = ExtentBetween(pages.first + PageCount(count), pages.end());
  }
  return true;
}

bool P2mDecoder::IsComplete() const {
  std::vector<Pfn> needed = {shape_.missing_leaf, shape_.identity_leaf,
                             shape_.missing_pte, shape_.identity_pte};
  for (uint64_t mid = 0; mid < shape_.map.mids(); ++mid) {
    if (!IsPrivate(mid)) continue;
    for (uint64_t i = 0; i < shape_.abi.pmds_per_mid; ++i) {
      needed.push_back(shape_.map.PtePage(mid, i));
    }
  }
  return list_->tools_->IsComplete() &&
         std::none_of(needed.begin(), needed.end(),
                      [](Pfn page) { return page.is_none(); });
}

std::optional<uint64_t> P2mDecoder::MidWithoutTreePage() const {
  for (uint64_t mid = 0; mid < shape_.map.mids(); ++mid) {
    if (shape_.map.TreePageFilledMissing(mid) &&
        shape_.map.TreePage(mid).is_none()) {
      return mid;
    }
  }
  return std::nullopt;
}

}  // namespace simvisor
