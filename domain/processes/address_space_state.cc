// The processes of a PAE guest as bytes.

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "domain/processes/address_spaces.h"

namespace simvisor {
namespace {

// Far more than a guest can have made, and far enough from 2^64 that ids never
// repeat.
constexpr uint64_t kMaxNotedId = uint64_t{1} << 48;

}  // namespace

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

void AddressSpaces::Decode(StateReader& in, Pfn end, Usable usable) {
  next_id_ = in.Get("address_spaces.next_id", 1, kMaxNotedId);
  entries_rewritten_ = in.Get("address_spaces.entries_rewritten");
  uint64_t least = 1;
  for (uint64_t n = in.GetCount("address_spaces", 2 + pmds_per_space());
       n > 0 && in.ok(); --n) {
    const uint64_t id = in.Get("address_spaces.id", least, next_id_ - 1);
    DecodeSpace(id, in, end, usable);
    least = id + 1;
  }
}

void AddressSpaces::DecodeSpace(uint64_t id, StateReader& in, Pfn end,
                                Usable usable) {
  const auto page = [&](absl::string_view field) {
    return static_cast<PageNumber32>(
        in.Get(field, std::min<uint64_t>(end.value(), kNoPage) - 1));
  };
  Space space;
  space.table_page = page("address_spaces.table_page");
  space.table_number = static_cast<uint32_t>(
      in.Get("address_spaces.table_number",
             shared() ? TableSlab::kObjectsPerPage - 1 : 0));
  for (size_t i = 0; i < pmds_per_space(); ++i) {
    space.pmds[i] = page("address_spaces.pmd");
  }
  if (!in.ok()) return;
  if (!HasOwnPages(space, usable) ||
      (shared() &&
       !slab_.AddAt(id, {Pfn(space.table_page), space.table_number}))) {
    in.Fail(absl::StrFormat(
        "address space %d has its table in pfn 0x%x and its first pmd in pfn "
        "0x%x: a page of it is not RAM, is free, or is another's",
        id, space.table_page, space.pmds[0]));
    return;
  }
  Enter(id, std::move(space));
}

bool AddressSpaces::HasOwnPages(const Space& space, Usable usable) const {
  auto own = OwnPages(space);
  std::sort(own.begin(), own.end());
  for (size_t i = 0; i < own.size() && own[i] != kNoPage; ++i) {
    const bool twice = i > 0 && own[i] == own[i - 1];
    const Pfn page(own[i]);
    if (twice || Intersects({page, PageCount(1)}) || !usable(page)) {
      return false;
    }
  }
  const Pfn table(space.table_page);
  if (!shared() || slab_.Find(table) != nullptr) return true;
  return !Intersects({table, PageCount(1)}) && usable(table) &&
         std::find(own.begin(), own.end(), space.table_page) == own.end();
}

}  // namespace simvisor
