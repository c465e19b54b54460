#include "domain/processes/table_slab.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/str_format.h"

namespace simvisor {

std::optional<TableSlab::Place> TableSlab::Add(uint64_t owner,
                                               PageSource& source) {
  if (partial_.empty()) {
    const PfnExtent taken = source.Take(PageCount(1));
    if (taken.empty()) return std::nullopt;
    pages_.emplace(taken.first, std::make_unique<Slab>());
    partial_.insert(taken.first);
  }
  const Pfn page = *partial_.begin();
  Slab& slab = *pages_.at(page);
  auto* const place =
      std::find(slab.owners.begin(), slab.owners.end(), uint64_t{0});
  *place = owner;
  ++objects_;
  if (++slab.used == kObjectsPerPage) partial_.erase(page);
  return Place{page, static_cast<uint64_t>(place - slab.owners.begin())};
}

bool TableSlab::AddAt(uint64_t owner, Place place) {
  assert(owner != 0);
  if (place.number >= kObjectsPerPage) return false;
  std::unique_ptr<Slab>& slab = pages_[place.page];
  if (slab == nullptr) {
    slab = std::make_unique<Slab>();
    partial_.insert(place.page);
  }
  if (slab->owners[place.number] != 0) return false;
  slab->owners[place.number] = owner;
  ++objects_;
  if (++slab->used == kObjectsPerPage) partial_.erase(place.page);
  return true;
}

void TableSlab::Remove(Place place, PageSource& source) {
  Slab& slab = *pages_.at(place.page);
  assert(slab.owners[place.number] != 0);
  slab.owners[place.number] = 0;
  --objects_;
  if (--slab.used > 0) {
    partial_.insert(place.page);
    return;
  }
  partial_.erase(place.page);
  pages_.erase(place.page);
  source.Return({place.page, PageCount(1)});
}

const TableSlab::Owners* TableSlab::Find(Pfn page) const {
  const auto at = pages_.find(page);
  return at == pages_.end() ? nullptr : &at->second->owners;
}

PageCount TableSlab::PagesToAdd(uint64_t count) const {
  const uint64_t room = pages_.size() * kObjectsPerPage - objects_;
  if (count <= room) return PageCount(0);
  return PageCount((count - room + kObjectsPerPage - 1) / kObjectsPerPage);
}

Pfn TableSlab::NextFrom(Pfn pfn) const {
  const auto at = pages_.lower_bound(pfn);
  return at == pages_.end() ? Pfn::None() : at->first;
}

bool TableSlab::Intersects(PfnExtent pfns) const {
  const auto at = pages_.lower_bound(pfns.first);
  return at != pages_.end() && pfns.Contains(at->first);
}

absl::Status TableSlab::CheckInvariants() const {
  uint64_t objects = 0;
  for (const auto& [page, slab] : pages_) {
    const uint64_t free =
        std::count(slab->owners.begin(), slab->owners.end(), uint64_t{0});
    objects += kObjectsPerPage - free;
    if (slab->used + free != kObjectsPerPage || slab->used == 0 ||
        partial_.contains(page) != (free > 0)) {
      return absl::InternalError(absl::StrFormat(
          "slab page at pfn 0x%x counts %d objects and has %d free places",
          page.value(), slab->used, free));
    }
  }
  if (objects != objects_ || partial_.size() > pages_.size()) {
    return absl::InternalError(absl::StrFormat(
        "slab pages hold %d objects, and %d are counted", objects, objects_));
  }
  return absl::OkStatus();
}

}  // namespace simvisor
