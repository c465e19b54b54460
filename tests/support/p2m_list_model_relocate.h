// P2mListModel: relocation, element by element (p2m.md A7).

#ifndef SIMVISOR_TESTS_SUPPORT_P2M_LIST_MODEL_RELOCATE_H_
#define SIMVISOR_TESTS_SUPPORT_P2M_LIST_MODEL_RELOCATE_H_

#include <algorithm>
#include <cstdint>

#include "tests/support/p2m_list_model.h"

namespace simvisor {

inline bool P2mListModel::Relocate(uint64_t limit, uint64_t* left) {
  if (!Take(4, left)) return false;
  const uint64_t span = abi_.mid_span();
  const uint64_t area = (std::max(max_pfn_, limit) + span - 1) / span * span;
  leaves_.resize(area / Span());
  mids_.resize(area / span);
  for (uint64_t pfn = 0; pfn < area;) {
    const uint64_t tested = pfn % span == 0 ? span : Span();
    const P2mClass element = ElementClass(pfn);
    const uint64_t run = ElementRun(pfn, element, tested);
    const bool whole_mid = run == span && element != P2mClass::kRam;
    if (pfn % span == 0 && !whole_mid) {
      if (!Take(abi_.pmds_per_mid, left)) return false;
      mids_[pfn / span].is_private = true;
    }
    if (!ShareOrCopy(pfn, whole_mid ? span : Span(), run, element, left)) {
      return false;
    }
    pfn += whole_mid ? span : Span();
  }
  last_pfn_ = max_pfn_;
  size_ = max_pfn_ = area;
  relocated_ = true;
  for (uint64_t pfn = 0; pfn < area; ++pfn) {
    if (pfn % Span() == 0 && !ExtraMeets(pfn, pfn + Span())) {
      pfn += Span() - 1;
    } else if (InExtra(pfn) && !Set(pfn, P2mWord(), left)) {
      return false;
    }
  }
  if (!Pae()) *left += builder_.size() / Span();
  return true;
}

inline P2mClass P2mListModel::ElementClass(uint64_t pfn) const {
  if (pfn >= size_) {
    // Linux does not know about room at this point, but compact room matters
    // here.
    const bool compact = options_.balloon_room == BalloonRoom::kCompact;
    return compact && InExtra(pfn) ? P2mClass::kMissing : P2mClass::kIdentity;
  }
  const P2mClass p2m_class = builder_[pfn].Class();
  return p2m_class == P2mClass::kForeign ? P2mClass::kRam : p2m_class;
}

inline uint64_t P2mListModel::ElementRun(uint64_t pfn, P2mClass element,
                                         uint64_t cap) const {
  uint64_t run = 1;
  while (run < cap && ElementClass(pfn + run) == element) {
    ++run;
    // Only identity follows; a shortcut, because there is a lot of it.
    if (pfn + run >= size_ && !ExtraMeets(pfn + run, pfn + cap)) {
      return element == P2mClass::kIdentity ? cap : run;
    }
  }
  return run;
}

inline bool P2mListModel::ShareOrCopy(uint64_t pfn, uint64_t covered,
                                      uint64_t run, P2mClass element,
                                      uint64_t* left) {
  if (run >= covered && element != P2mClass::kRam) {
    for (uint64_t at = pfn; at < pfn + covered; at += Span()) {
      leaves_[at / Span()].backing = element == P2mClass::kMissing
                                         ? Backing::kMissing
                                         : Backing::kIdentity;
    }
    return true;
  }
  Leaf& leaf = leaves_[pfn / Span()];
  leaf.page = !Pae() || pfn >= size_;
  if (leaf.page && !Take(1, left)) return false;
  leaf.backing = Backing::kPrivate;
  for (uint64_t at = pfn; at < pfn + Span(); ++at) {
    leaf.words.push_back(at < size_ ? builder_[at]
                                    : P2mWord::Identity(Pfn(at)));
  }
  return true;
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_P2M_LIST_MODEL_RELOCATE_H_
