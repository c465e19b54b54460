// The set path of a p2m list (p2m.md A6).

#include <algorithm>
#include <array>
#include <cassert>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/p2m/p2m_list.h"

namespace simvisor {
namespace {

// Whether shared leaves of this backing already read as `fill` wants.
bool SharedReads(Backing shared, const RangeFill& fill) {
  return (shared == Backing::kMissing &&
          fill.p2m_class == P2mClass::kMissing) ||
         (shared == Backing::kIdentity &&
          fill.p2m_class == P2mClass::kIdentity);
}

}  // namespace

bool P2mList::TrySet(const ChangePermit& permit, Pfn pfn, P2mWord word) {
  if (pfn >= p2m_size()) return word.is_invalid();
  switch (shape_.LeafBacking(shape_.LeafOf(pfn))) {
    case Backing::kMissing:
      return word.is_invalid();
    case Backing::kIdentity:
      return word == P2mWord::Identity(pfn);
    case Backing::kPrivate:
      break;
  }
  shape_.words.Store(permit, pfn, word);
  return true;
}

absl::Status P2mList::Set(const ChangePermit& permit, Pfn pfn, P2mWord word,
                          PageSource& source) {
  if (!word.FitsAbi(abi())) {
    const bool pfn_too_large = word.Class() == P2mClass::kIdentity;
    return MakeError(
        absl::StatusCode::kOutOfRange,
        pfn_too_large ? Reason::kPfnOutOfRange : Reason::kMfnNotAddressable,
        absl::StrFormat(
            "set of pfn 0x%x to %s: an %s guest stores only numbers below "
            "0x%x",
            pfn.value(), word.ToString(), abi().name, abi().plain_word_limit()),
        {{fact::kValue, Hex(pfn.value())},
         {fact::kLimit, Hex(abi().plain_word_limit())}});
  }
  if (TrySet(permit, pfn, word)) return absl::OkStatus();
  SIMVISOR_RETURN_IF_ERROR(AllocEntry(pfn, source));
  // The leaf is private now, so this stores.
  TrySet(permit, pfn, word);
  return absl::OkStatus();
}

absl::Status P2mList::AllocEntry(Pfn pfn, PageSource& source) {
  if (pfn >= p2m_size()) {
    return MakeError(
        absl::StatusCode::kOutOfRange, Reason::kPfnOutOfRange,
        absl::StrFormat("set of pfn 0x%x: the p2m area ends at pfn 0x%x",
                        pfn.value(), p2m_size().value()),
        {{fact::kValue, Hex(pfn.value())},
         {fact::kLimit, Hex(p2m_size().value())}});
  }
  const uint64_t mid = shape_.MidOf(pfn);
  if (shape_.map.MidBacking(mid) != Backing::kPrivate) {
    SIMVISOR_RETURN_IF_ERROR(MakeMidPrivate(mid, source));
  }
  SIMVISOR_RETURN_IF_ERROR(tools_->MidGrew(mid, source));
  const uint64_t leaf = shape_.LeafOf(pfn);
  if (shape_.map.LeafPage(leaf).is_none() && TakeLeaves(leaf, 1, source) == 0) {
    return NoPageFor(PageRole::kLeaf, leaf);
  }
  RaiseLastPfn(pfn);
  return absl::OkStatus();
}

absl::Status P2mList::SetRange(const ChangePermit& permit, PfnExtent pfns,
                               const RangeFill& fill, PageSource& source,
                               PageCount* done) {
  PageCount unused;
  PageCount& count = done != nullptr ? *done : unused;
  count = PageCount(0);
  SIMVISOR_RETURN_IF_ERROR(CheckFits(pfns));
  while (count < pfns.count) {
    const Pfn at = pfns.first + count;
    Pfn end = at;
    const absl::Status status =
        PrepareLeaves(at, pfns.end(), fill, source, &end);
    // Shared leaves that read as wanted already hold exactly these cells.
    RangeFill part = fill;
    part.first_mfn += count;
    shape_.words.Fill(permit, ExtentBetween(at, end), part);
    count += end - at;
    SIMVISOR_RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

absl::Status P2mList::PrepareRange(PfnExtent pfns, const RangeFill& fill,
                                   PageSource& source) {
  SIMVISOR_RETURN_IF_ERROR(CheckFits(pfns));
  for (Pfn at = pfns.first; at < pfns.end();) {
    SIMVISOR_RETURN_IF_ERROR(PrepareLeaves(at, pfns.end(), fill, source, &at));
  }
  return absl::OkStatus();
}

absl::Status P2mList::CheckFits(PfnExtent pfns) const {
  if (FitsWithin(pfns.first, pfns.count, p2m_size())) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kOutOfRange, Reason::kPfnOutOfRange,
      absl::StrFormat("set of %d pfns from 0x%x: the p2m list ends at pfn 0x%x",
                      pfns.count.value(), pfns.first.value(),
                      p2m_size().value()),
      {{fact::kValue, Hex(pfns.first.value())},
       {fact::kLimit, Hex(p2m_size().value())}});
}

absl::Status P2mList::PrepareLeaves(Pfn at, Pfn end, const RangeFill& fill,
                                    PageSource& source, Pfn* ready) {
  const uint64_t mid = shape_.MidOf(at);
  end = std::min(end, Pfn((mid + 1) * abi().mid_span()));
  if (shape_.map.MidBacking(mid) != Backing::kPrivate) {
    if (SharedReads(shape_.map.MidBacking(mid), fill)) {
      *ready = end;
      return absl::OkStatus();
    }
    SIMVISOR_RETURN_IF_ERROR(MakeMidPrivate(mid, source));
  }
  const uint64_t span = abi().leaf_span();
  const uint64_t leaf = shape_.LeafOf(at);
  if (!shape_.map.LeafPage(leaf).is_none()) {
    *ready = std::min(end, Pfn((leaf + shape_.map.SimilarLeaves(leaf)) * span));
    return absl::OkStatus();
  }
  end = std::min(end, Pfn((leaf + shape_.SharedLeaves(leaf)) * span));
  if (SharedReads(shape_.LeafBacking(leaf), fill)) {
    *ready = end;
    return absl::OkStatus();
  }
  SIMVISOR_RETURN_IF_ERROR(tools_->MidGrew(mid, source));
  const uint64_t wanted = (end.value() + span - 1) / span - leaf;
  const uint64_t taken = TakeLeaves(leaf, wanted, source);
  if (taken > 0) {
    *ready = std::min(end, Pfn((leaf + taken) * span));
    // Each leaf is allocated for the first pfn that is set in it.
    RaiseLastPfn(std::max(at, Pfn((leaf + taken - 1) * span)));
  }
  return taken == wanted ? absl::OkStatus()
                         : NoPageFor(PageRole::kLeaf, leaf + taken);
}

Pfn P2mList::AllocEntries(PfnExtent pfns, PageSource& source) {
  assert(FitsWithin(pfns.first, pfns.count, p2m_size()));
  Pfn at = pfns.first;
  absl::Status status;
  while (status.ok() && at < pfns.end()) {
    status = PrepareLeaves(at, pfns.end(), RangeFill::Ram(Mfn(0)), source, &at);
  }
  return at;
}

PageCount P2mList::PagesToSet(PfnExtent pfns, const RangeFill& fill) const {
  assert(FitsWithin(pfns.first, pfns.count, p2m_size()));
  const uint64_t span = abi().leaf_span();
  uint64_t pages = 0;
  uint64_t counted_mid =
      shape_.map.mids();  // its PTE and tree pages are counted
  for (Pfn at = pfns.first; at < pfns.end();) {
    const uint64_t leaf = shape_.LeafOf(at);
    const uint64_t mid = shape_.MidOf(at);
    const Backing backing = shape_.LeafBacking(leaf);
    const uint64_t similar = backing == Backing::kPrivate
                                 ? shape_.map.SimilarLeaves(leaf)
                                 : shape_.SharedLeaves(leaf);
    const Pfn end = std::min(pfns.end(), Pfn((leaf + similar) * span));
    if (backing != Backing::kPrivate && !SharedReads(backing, fill)) {
      pages += (end.value() + span - 1) / span - leaf;
      if (mid != counted_mid) {
        const bool shared = shape_.map.MidBacking(mid) != Backing::kPrivate;
        pages += shared ? abi().pmds_per_mid : 0;
        pages += tools_->PagesToGrow(mid).value();
        counted_mid = mid;
      }
    }
    at = end;
  }
  return PageCount(pages);
}

absl::Status P2mList::MakeMidPrivate(uint64_t mid, PageSource& source) {
  std::array<Pfn, 2> taken = {Pfn::None(), Pfn::None()};
  for (uint64_t i = 0; i < abi().pmds_per_mid; ++i) {
    const uint64_t index = mid * abi().pmds_per_mid + i;
    const absl::StatusOr<Pfn> page =
        shape_.TakePage(PageRole::kPte, index, source);
    if (!page.ok()) {
      for (uint64_t j = i; j > 0; --j) {
        shape_.pages.Remove({taken[j - 1], PageCount(1)});
        source.Return({taken[j - 1], PageCount(1)});
      }
      return page.status();
    }
    taken[i] = *page;
  }
  shape_.pte_pages += abi().pmds_per_mid;
  shape_.words.BeginReplacement();
  shape_.map.MakePrivate(mid, taken);
  if (pmd_listener_ != nullptr) {
    pmd_listener_->PmdsReplaced(
        mid * abi().pmds_per_mid,
        absl::MakeConstSpan(taken).subspan(0, abi().pmds_per_mid));
  }
  shape_.words.EndReplacement(abi().pmds_per_mid);
  return absl::OkStatus();
}

uint64_t P2mList::TakeLeaves(uint64_t first, uint64_t count,
                             PageSource& source) {
  uint64_t taken = 0;
  while (taken < count) {
    const PfnExtent pages = source.Take(PageCount(count - taken));
    if (pages.empty()) break;
    shape_.pages.Add(pages, PageRole::kLeaf, first + taken);
    shape_.words.BeginReplacement();
    shape_.map.SetLeafPages(first + taken, pages);
    shape_.words.EndReplacement(pages.count.value());
    taken += pages.count.value();
  }
  shape_.leaf_pages += taken;
  return taken;
}

void P2mList::RaiseLastPfn(Pfn pfn) {
  if (pfn < last_pfn_) return;
  last_pfn_ = Pfn((shape_.LeafOf(pfn) + 1) * abi().leaf_span());
}

}  // namespace simvisor
