// The processes of a PAE guest as bytes.

#include <algorithm>
#include <utility>

#include "domain/guest/address_spaces.h"

namespace simvisor {

void AddressSpaces::Encode(StateWriter& out) const {
  out.Put(next_id_);
  out.Put(entries_rewritten_);
  out.Put(spaces_.size());
  for (const auto& [id, space] : spaces_) {
    out.Put(id);
    out.Put(space.table_page);
    out.Put(space.table_number);
    for (size_t i = 0; i < pmds_per_space(); ++i) out.Put(space.pmds[i]);
  }
}

int AddressSpaces::TableLevel(Pfn pfn) const {
  auto at = uses_.upper_bound(pfn);
  if (at == uses_.begin()) return 0;
  --at;
  const uint64_t offset = (pfn - at->first).value();
  if (offset >= at->second.count) return 0;
  return at->second.first + offset == 0 ? 3 : 2;
}

void AddressSpaces::Decode(StateReader& in, Pfn end) {
  next_id_ = in.Get();
  entries_rewritten_ = in.Get();
  uint64_t least = 1;
  for (uint64_t n = in.GetCount(); n > 0 && in.ok(); --n) {
    const uint64_t id = in.Get(next_id_ - 1);
    if (id < least || !DecodeSpace(id, in, end)) in.Fail();
    least = id + 1;
  }
}

bool AddressSpaces::DecodeSpace(uint64_t id, StateReader& in, Pfn end) {
  const auto page = [&] {
    return static_cast<PageNumber32>(
        in.Get(std::min<uint64_t>(end.value(), kNoPage) - 1));
  };
  Space space;
  space.table_page = page();
  space.table_number = static_cast<uint32_t>(
      in.Get(shared() ? TableSlab::kObjectsPerPage - 1 : 0));
  for (size_t i = 0; i < pmds_per_space(); ++i) space.pmds[i] = page();
  if (!in.ok()) return false;
  auto own = OwnPages(space);
  std::sort(own.begin(), own.end());
  for (size_t i = 0; i < own.size() && own[i] != kNoPage; ++i) {
    const bool twice = i > 0 && own[i] == own[i - 1];
    if (twice || Intersects({Pfn(own[i]), PageCount(1)})) return false;
  }
  const Pfn table(space.table_page);
  const bool new_page = shared() && slab_.Find(table) == nullptr;
  if (new_page &&
      (Intersects({table, PageCount(1)}) ||
       std::find(own.begin(), own.end(), space.table_page) != own.end())) {
    return false;
  }
  if (shared() &&
      !slab_.AddAt(id, {Pfn(space.table_page), space.table_number})) {
    return false;
  }
  Enter(id, std::move(space));
  return true;
}

}  // namespace simvisor
