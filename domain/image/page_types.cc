#include "domain/image/page_types.h"

#include "domain/units/status_macros.h"

namespace simvisor {
namespace {

constexpr int kLeafShift = 9;
constexpr int kBlockShift = 18;

// A cell: whether the pfn was named, its type, whether it has a frame.
constexpr uint64_t kNamed = 1 << 8;
constexpr uint64_t kPopulated = 1 << 9;
constexpr uint64_t kTypeMask = 0xf;

}  // namespace

absl::StatusOr<PageTypes> PageTypes::Create(Pfn end) {
  SIMVISOR_ASSIGN_OR_RETURN(
      CompactWords cells,
      CompactWords::Create(end.value(), kLeafShift, kBlockShift));
  return PageTypes(end, std::move(cells));
}

PageType PageTypes::TypeOf(Pfn pfn) const {
  const uint64_t cell = pfn < end_ ? cells_.Get(pfn.value()) : 0;
  return (cell & kNamed) == 0 ? PageType::kAbsent
                              : static_cast<PageType>(cell & kTypeMask);
}

bool PageTypes::IsPopulated(Pfn pfn) const {
  return pfn < end_ && (cells_.Get(pfn.value()) & kPopulated) != 0;
}

void PageTypes::Set(PfnExtent pfns, PageType type) {
  const uint64_t cell = kNamed | static_cast<uint64_t>(type);
  if (WantsFrame(type)) {
    cells_.SetRange(pfns.first.value(), pfns.count.value(),
                    {cell | kPopulated, /*counts_up=*/false});
    return;
  }
  for (Pfn at = pfns.first; at < pfns.end();) {
    const CompactWords::Run run = cells_.RunAt(at.value(), pfns.end().value());
    // Cells that count up differ in their types, not in whether they are there.
    const uint64_t count = run.fill.counts_up ? 1 : run.count;
    cells_.SetRange(at.value(), count,
                    {cell | (run.fill.first & kPopulated), false});
    at += PageCount(count);
  }
}

}  // namespace simvisor
