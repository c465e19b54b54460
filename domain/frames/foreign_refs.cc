#include "domain/frames/foreign_refs.h"

#include <cassert>
#include <utility>

namespace simvisor {

Mfn ForeignRefs::FindFirstIn(MfnExtent frames) const {
  const auto at = refs_.lower_bound(frames.first);
  return at != refs_.end() && at->first < frames.end() ? at->first
                                                       : Mfn::None();
}

bool ForeignRefs::IsHeld(Mfn mfn) const {
  const auto at = refs_.find(mfn);
  return at != refs_.end() && at->second.held;
}

bool ForeignRefs::Drop(Mfn mfn, DomainId owner) {
  const auto at = refs_.find(mfn);
  assert(at != refs_.end());
  if (--at->second.mappings > 0) return false;
  const bool held = at->second.held;
  refs_.erase(at);
  if (!held) return false;
  contents_.Drop({mfn, PageCount(1)});
  held_ -= PageCount(1);
  const auto count = held_by_.find(owner);
  count->second -= PageCount(1);
  if (count->second == PageCount(0)) held_by_.erase(count);
  return true;
}

void ForeignRefs::Hold(Mfn mfn, DomainId owner, PagePtr content) {
  Ref& ref = refs_.find(mfn)->second;
  assert(!ref.held);
  ref.held = true;
  held_ += PageCount(1);
  held_by_[owner] += PageCount(1);
  contents_.Put(mfn, std::move(content));
}

PageCount ForeignRefs::HeldBy(DomainId owner) const {
  const auto at = held_by_.find(owner);
  return at == held_by_.end() ? PageCount(0) : at->second;
}

}  // namespace simvisor
