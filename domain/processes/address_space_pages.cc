// What the pages of address spaces hold, and the checks of pages and spaces.

#include <algorithm>
#include <iterator>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "domain/p2m/page_entries.h"
#include "domain/processes/address_spaces.h"

namespace simvisor {
namespace {

// What a top-level entry maps, as a shift (PGDIR_SHIFT).
constexpr int kPgdShift = 30;

}  // namespace

bool AddressSpaces::Intersects(PfnExtent pfns) const {
  if (slab_.Intersects(pfns)) return true;
  const auto at = uses_.lower_bound(pfns.end());
  if (pfns.empty() || at == uses_.begin()) return false;
  const auto& [first, use] = *std::prev(at);
  return first + PageCount(use.count) > pfns.first;
}

Pfn AddressSpaces::NextPageFrom(Pfn pfn) const {
  Pfn next = slab_.NextFrom(pfn);
  const auto after = uses_.upper_bound(pfn);
  if (after != uses_.begin()) {
    const auto& [first, use] = *std::prev(after);
    if (pfn < first + PageCount(use.count)) return pfn;
  }
  if (after != uses_.end()) next = std::min(next, after->first);
  return next;
}

void AddressSpaces::ForEachPage(
    absl::FunctionRef<void(PfnExtent)> visit) const {
  for (const auto& [first, use] : uses_) visit({first, PageCount(use.count)});
  slab_.ForEach([&](Pfn page, const TableSlab::Owners&) {
    visit({page, PageCount(1)});
  });
}

bool AddressSpaces::RenderPage(Pfn pfn, absl::Span<char> page) const {
  if (const TableSlab::Owners* const owners = slab_.Find(pfn)) {
    std::fill(page.begin(), page.end(), '\0');
    for (size_t i = 0; i < owners->size(); ++i) {
      if ((*owners)[i] == 0) continue;
      RenderTable(
          spaces_.at((*owners)[i]),
          page.subspan(i * TableSlab::kObjectBytes, TableSlab::kObjectBytes));
    }
    return true;
  }
  auto at = uses_.upper_bound(pfn);
  if (at == uses_.begin()) return false;
  --at;
  const uint64_t offset = (pfn - at->first).value();
  if (offset >= at->second.count) return false;
  const Space& space = spaces_.at(at->second.id);
  const uint64_t number = at->second.first + offset;
  std::fill(page.begin(), page.end(), '\0');
  if (number == 0) {
    RenderTable(space, page);
  } else {
    RenderPmd(space, number - 1, page);
  }
  return true;
}

void AddressSpaces::RenderTable(const Space& space,
                                absl::Span<char> table) const {
  for (size_t i = 0; i < kPaeTopEntries; ++i) {
    if (space.pmds[i] == kNoPage) continue;
    StoreEntry(table, kPteBytes, i, PteOf(FrameOf(space.pmds[i]), kPtePresent));
  }
}

void AddressSpaces::RenderPmd(const Space& space, size_t entry,
                              absl::Span<char> page) const {
  // The kernel maps nothing but the area here, a process nothing at all.
  if (entry != list_.abi().p2m_area_base >> kPgdShift) return;
  for (size_t i = 0; i < master_.size(); ++i) {
    StoreEntry(page, kPteBytes, i,
               PteOf(FrameOf(space.area[i]), PteTableFlags(list_.abi())));
  }
}

absl::Status AddressSpaces::CheckInvariants() const {
  SIMVISOR_RETURN_IF_ERROR(CheckPages());
  for (size_t i = 0; i < master_.size(); ++i) {
    const Pfn wanted = list_.PtePageAt(i);
    if (Pfn(master_[i]) == wanted) continue;
    return absl::InternalError(absl::StrFormat(
        "PMD entry %d of the kernel names the PTE page at pfn 0x%x, the p2m "
        "list has pfn 0x%x",
        i, master_[i], wanted.value()));
  }
  for (const auto& [id, space] : spaces_) {
    if (shared() != (space.area == nullptr)) {
      return absl::InternalError(
          absl::StrFormat("address space %d has the wrong kind of table", id));
    }
    if (!shared()) {
      SIMVISOR_RETURN_IF_ERROR(CheckEntries(id, space.area.get()));
      continue;
    }
    const TableSlab::Owners* const owners = slab_.Find(Pfn(space.table_page));
    if (owners == nullptr || owners->at(space.table_number) != id) {
      return absl::InternalError(absl::StrFormat(
          "the slab has no table of address space %d at pfn 0x%x", id,
          space.table_page));
    }
  }
  return absl::OkStatus();
}

absl::Status AddressSpaces::CheckEntries(uint64_t id,
                                         const PageNumber32* entries) const {
  for (size_t i = 0; i < master_.size(); ++i) {
    if (entries[i] == master_[i]) continue;
    return absl::InternalError(absl::StrFormat(
        "PMD entry %d of address space %d names the PTE page at pfn 0x%x, the "
        "kernel's names pfn 0x%x",
        i, id, entries[i], master_[i]));
  }
  return absl::OkStatus();
}

absl::Status AddressSpaces::CheckPages() const {
  SIMVISOR_RETURN_IF_ERROR(slab_.CheckInvariants());
  PageCount noted = slab_.pages();
  Pfn free_from(0);  // pages below it are some process's
  for (const auto& [first, use] : uses_) {
    const PfnExtent pages = {first, PageCount(use.count)};
    if (first < free_from || slab_.Intersects(pages)) {
      return absl::InternalError(absl::StrFormat(
          "page at pfn 0x%x holds two page tables", first.value()));
    }
    const auto space = spaces_.find(use.id);
    const bool known = space != spaces_.end();
    for (uint32_t i = 0; known && i < use.count; ++i) {
      if (OwnPages(space->second).at(use.first + i) == first.value() + i) {
        continue;
      }
      return absl::InternalError(
          absl::StrFormat("page at pfn 0x%x is not where address space %d "
                          "keeps its page table %d",
                          first.value() + i, use.id, use.first + i));
    }
    if (!known) {
      return absl::InternalError(
          absl::StrFormat("page at pfn 0x%x is noted for address space %d, "
                          "which there is not",
                          first.value(), use.id));
    }
    free_from = pages.end();
    noted += pages.count;
  }
  if (noted != pages() || slab_.objects() != (shared() ? spaces_.size() : 0)) {
    return absl::InternalError(absl::StrFormat(
        "%d pages hold page tables of %d address spaces, and %d are noted",
        pages().value(), spaces_.size(), noted.value()));
  }
  return absl::OkStatus();
}

}  // namespace simvisor
