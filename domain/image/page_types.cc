#include "domain/image/page_types.h"

namespace simvisor {

void PageTypes::Set(PfnExtent pfns, PageType type) {
  if (WantsFrame(type)) populated_.Add(pfns);
  const int level = TableLevel(type);
  for (int other = 1; other < static_cast<int>(tables_.size()); ++other) {
    if (other != level && !tables_[other].empty()) tables_[other].Remove(pfns);
  }
  if (level > 0) tables_[level].Add(pfns);
  if (type == PageType::kNormal) {
    normal_.Add(pfns);
  } else {
    normal_.Remove(pfns);
  }
}

size_t PageTypes::stretches() const {
  size_t count = populated_.extents().size() + normal_.extents().size();
  for (const PfnSet& tables : tables_) count += tables.extents().size();
  return count;
}

int PageTypes::TableLevelOf(Pfn pfn) const {
  for (int level = 1; level < static_cast<int>(tables_.size()); ++level) {
    if (tables_[level].Contains(pfn)) return level;
  }
  return 0;
}

}  // namespace simvisor
