#include "domain/p2m/p2m_shape.h"

#include <cassert>

#include "absl/strings/str_format.h"
#include "base/error.h"

namespace simvisor {
namespace {

absl::string_view PurposeOf(PageRole role) {
  switch (role) {
    case PageRole::kPte:
      return "page-table page";
    case PageRole::kTreeMid:
      return "tree page";
    case PageRole::kLeaf:
      return "leaf";
    default:
      return "constant page";
  }
}

}  // namespace

absl::Status NoPageFor(PageRole role, uint64_t index) {
  return MakeError(
      absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
      absl::StrFormat("p2m %s %d: the guest has no free page; balloon it up",
                      PurposeOf(role), index),
      {{fact::kAvailable, 0}, {fact::kUnit, "pages"}});
}

Backing P2mShape::LeafBacking(uint64_t leaf) const {
  const Backing mid = map.MidBacking(leaf / abi.words_per_page);
  if (mid != Backing::kPrivate) return mid;
  if (!map.LeafPage(leaf).is_none()) return Backing::kPrivate;
  const P2mWord word = words.Lookup(Pfn(leaf * abi.leaf_span()));
  return word.is_invalid() ? Backing::kMissing : Backing::kIdentity;
}

uint64_t P2mShape::SharedLeaves(uint64_t leaf) const {
  assert(map.LeafPage(leaf).is_none());
  const uint64_t similar = map.SimilarLeaves(leaf);
  const P2mRun run =
      words.RunAt(Pfn(leaf * abi.leaf_span()),
                  Pfn((leaf + similar) * abi.leaf_span()), RunMerge::kByClass);
  return run.pfns.count.value() / abi.leaf_span();
}

Pfn P2mShape::LeafPageAt(uint64_t leaf) const {
  switch (LeafBacking(leaf)) {
    case Backing::kMissing:
      return missing_leaf;
    case Backing::kIdentity:
      return identity_leaf;
    case Backing::kPrivate:
      break;
  }
  return map.LeafPage(leaf);
}

Pfn P2mShape::PtePageAt(uint64_t entry) const {
  const uint64_t mid = entry / abi.pmds_per_mid;
  switch (map.MidBacking(mid)) {
    case Backing::kMissing:
      return missing_pte;
    case Backing::kIdentity:
      return identity_pte;
    case Backing::kPrivate:
      break;
  }
  return map.PtePage(mid, entry % abi.pmds_per_mid);
}

absl::StatusOr<Pfn> P2mShape::TakePage(PageRole role, uint64_t index,
                                       PageSource& source) {
  const PfnExtent page = source.Take(PageCount(1));
  if (page.empty()) return NoPageFor(role, index);
  pages.Add(page, role, index);
  return page.first;
}

}  // namespace simvisor
