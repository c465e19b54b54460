#include "domain/processes/address_spaces.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace simvisor {
namespace {

// Processes handled between two calls of a StopCheck.
constexpr uint64_t kSpacesPerStop = 256;

}  // namespace

AddressSpaces::AddressSpaces(const PaeKernel& kernel, const P2mList& list)
    : kernel_(kernel), list_(list), master_(list.pmd_entries()) {
  assert(list.abi().arch == Arch::kX86_32Pae);
  assert(kernel.user_pgds >= 1 && kernel.user_pgds <= 3);
  for (size_t i = 0; i < master_.size(); ++i) {
    master_[i] = Narrow(list.PtePageAt(i));
  }
}

PageCount AddressSpaces::PagesToCreate(uint64_t count) const {
  const PageCount tables =
      shared() ? slab_.PagesToAdd(count) : PageCount(count);
  return tables + PageCount(count * pmds_per_space());
}

absl::StatusOr<uint64_t> AddressSpaces::Create(uint64_t count,
                                               PageSource& source,
                                               StopCheck stop) {
  const uint64_t first = next_id_;
  absl::Status status;
  uint64_t made = 0;
  for (; status.ok() && made < count; ++made) {
    if (made % kSpacesPerStop == 0) status = stop();
    if (status.ok() && !Make(first + made, source)) {
      status = MakeError(
          absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
          absl::StrFormat("%d address spaces: the guest has no free page left "
                          "for number %d; balloon it up or create fewer",
                          count, made + 1),
          {{fact::kRequested, count},
           {fact::kAvailable, made},
           {fact::kUnit, "address spaces"}});
    }
    if (!status.ok()) break;
  }
  if (status.ok()) {
    next_id_ += count;
    return first;
  }
  for (; made > 0; --made) End(first + made - 1, source);
  return status;
}

bool AddressSpaces::Make(uint64_t id, PageSource& source) {
  Space space;
  if (!TakeTable(id, space, source)) return false;
  // As Linux does, try to get every pmd, even after one attempt has failed.
  size_t have = 0;
  for (size_t i = 0; i < pmds_per_space(); ++i) {
    const PfnExtent taken = source.Take(PageCount(1));
    if (!taken.empty()) space.pmds[have++] = Narrow(taken.first);
  }
  if (have < pmds_per_space()) {
    GiveBack(space, source);
    return false;
  }
  Enter(id, std::move(space));
  return true;
}

void AddressSpaces::Enter(uint64_t id, Space space) {
  if (!shared()) {
    space.area = std::make_unique<PageNumber32[]>(master_.size());
    std::copy(master_.begin(), master_.end(), space.area.get());
  }
  NotePages(id, space);
  spaces_.emplace_hint(spaces_.end(), id, std::move(space));
}

bool AddressSpaces::TakeTable(uint64_t id, Space& space, PageSource& source) {
  if (!shared()) {
    const PfnExtent taken = source.Take(PageCount(1));
    if (!taken.empty()) space.table_page = Narrow(taken.first);
    return !taken.empty();
  }
  const std::optional<TableSlab::Place> place = slab_.Add(id, source);
  if (!place.has_value()) return false;
  space.table_page = Narrow(place->page);
  space.table_number = static_cast<uint32_t>(place->number);
  return true;
}

void AddressSpaces::GiveBack(const Space& space, PageSource& source) {
  for (const PageNumber32 page : space.pmds) {
    if (page != kNoPage) source.Return({Pfn(page), PageCount(1)});
  }
  if (shared()) {
    slab_.Remove({Pfn(space.table_page), space.table_number}, source);
  } else {
    source.Return({Pfn(space.table_page), PageCount(1)});
  }
}

void AddressSpaces::End(uint64_t id, PageSource& source) {
  const auto at = spaces_.find(id);
  ForgetPages(at->second);
  GiveBack(at->second, source);
  spaces_.erase(at);
}

std::array<AddressSpaces::PageNumber32, kPaeTopEntries + 1>
AddressSpaces::OwnPages(const Space& space) const {
  std::array<PageNumber32, kPaeTopEntries + 1> pages;
  pages[0] = shared() ? kNoPage : space.table_page;
  std::copy(space.pmds.begin(), space.pmds.end(), pages.begin() + 1);
  return pages;
}

void AddressSpaces::NotePages(uint64_t id, const Space& space) {
  Use* last = nullptr;
  PageNumber32 next = kNoPage;  // the page behind those of `last`
  const auto pages = OwnPages(space);
  for (uint32_t i = 0; i < pages.size(); ++i) {
    if (pages[i] == kNoPage) continue;
    if (last != nullptr && pages[i] == next) {
      ++last->count;
    } else {
      last = &uses_[Pfn(pages[i])];
      *last = {.id = id, .first = i, .count = 1};
    }
    next = pages[i] + 1;
  }
}

void AddressSpaces::ForgetPages(const Space& space) {
  // Pages that are not the first of a stretch have no entry.
  for (const PageNumber32 page : OwnPages(space)) {
    if (page != kNoPage) uses_.erase(Pfn(page));
  }
}

absl::Status AddressSpaces::NotFound(uint64_t id) const {
  return MakeError(
      absl::StatusCode::kNotFound, Reason::kAddressSpaceNotFound,
      absl::StrFormat("address space %d: no address space has this id; list "
                      "its address spaces, of which it has %d",
                      id, spaces_.size()),
      {{fact::kValue, id}});
}

absl::Status AddressSpaces::CheckIds(absl::Span<const uint64_t> ids,
                                     StopCheck stop) const {
  std::vector<uint64_t> sorted(ids.begin(), ids.end());
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kArgumentMalformed,
        absl::StrFormat("address space %d: the call names it more than once; "
                        "name each id once",
                        *twice),
        {{fact::kValue, *twice}});
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i % kSpacesPerStop == 0) SIMVISOR_RETURN_IF_ERROR(stop());
    if (!spaces_.contains(ids[i])) return NotFound(ids[i]);
  }
  return absl::OkStatus();
}

absl::Status AddressSpaces::Destroy(absl::Span<const uint64_t> ids,
                                    PageSource& source, StopCheck stop) {
  SIMVISOR_RETURN_IF_ERROR(CheckIds(ids, stop));
  for (const uint64_t id : ids) End(id, source);
  return absl::OkStatus();
}

void AddressSpaces::List(uint64_t first_id, size_t max,
                         std::vector<AddressSpaceInfo>& spaces) const {
  for (auto at = spaces_.lower_bound(first_id); at != spaces_.end() && max > 0;
       ++at, --max) {
    const Space& space = at->second;
    AddressSpaceInfo info;
    info.id = at->first;
    info.pgd = FrameOf(space.table_page);
    info.pgd_offset = TableSlab::kObjectBytes * space.table_number;
    for (size_t i = 0; i < kPaeTopEntries; ++i) {
      if (space.pmds[i] != kNoPage) info.pmds[i] = FrameOf(space.pmds[i]);
    }
    info.listed = !shared();
    spaces.push_back(info);
  }
}

AddressSpaceTotals AddressSpaces::totals() const {
  AddressSpaceTotals totals;
  totals.spaces = spaces_.size();
  totals.shared_kernel_pmd = shared();
  totals.pgd_bytes = shared() ? TableSlab::kObjectBytes : kPageSize;
  totals.pgd_frames = table_pages();
  totals.pmd_frames = pmd_pages();
  if (!shared()) {
    const uint64_t kernel_pgds =
        kPaeTopEntries - static_cast<size_t>(kernel_.user_pgds);
    totals.kernel_pmd_copies = PageCount(spaces_.size() * kernel_pgds);
    totals.listed = spaces_.size();
  }
  totals.entries_rewritten = entries_rewritten_;
  return totals;
}

absl::Status AddressSpaces::Translate(uint64_t id,
                                      absl::Span<const uint64_t> pfns,
                                      std::vector<P2mWord>& words) const {
  const auto at = spaces_.find(id);
  if (at == spaces_.end()) return NotFound(id);
  for (const uint64_t pfn : pfns) {
    if (Pfn(pfn) < list_.p2m_size()) continue;
    return MakeError(
        absl::StatusCode::kOutOfRange, Reason::kPfnOutOfRange,
        absl::StrFormat("pfn 0x%x in address space %d: the p2m area ends at "
                        "pfn 0x%x, and no page table maps what lies behind",
                        pfn, id, list_.p2m_size().value()),
        {{fact::kValue, Hex(pfn)},
         {fact::kLimit, Hex(list_.p2m_size().value())}});
  }
  const PageNumber32* const entries =
      shared() ? master_.data() : at->second.area.get();
  const uint64_t span = list_.abi().pte_page_span();
  words.reserve(words.size() + pfns.size());
  for (const uint64_t pfn : pfns) {
    words.push_back(list_.LookupThrough(Pfn(entries[pfn / span]), Pfn(pfn)));
  }
  return absl::OkStatus();
}

bool AddressSpaces::Rewrite(PageNumber32& entry, PageNumber32 pte_page) {
  if (entry == pte_page) return false;
  entry = pte_page;
  ++entries_rewritten_;
  return true;
}

absl::StatusOr<AddressSpaceSync> AddressSpaces::Sync(StopCheck stop) {
  AddressSpaceSync sync;
  if (shared()) return sync;
  for (auto& [id, space] : spaces_) {
    if (sync.tables_walked % kSpacesPerStop == 0) {
      SIMVISOR_RETURN_IF_ERROR(stop());
    }
    for (size_t i = 0; i < master_.size(); ++i) {
      sync.entries_rewritten += Rewrite(space.area[i], master_[i]) ? 1 : 0;
    }
    ++sync.tables_walked;
  }
  return sync;
}

void AddressSpaces::RewriteAll(PageNumber32* entries,
                               absl::Span<const Pfn> pte_pages) {
  for (size_t i = 0; i < pte_pages.size(); ++i) {
    Rewrite(entries[i], Narrow(pte_pages[i]));
  }
}

void AddressSpaces::ReplaceInMaster(uint64_t first_entry,
                                    absl::Span<const Pfn> pte_pages) {
  RewriteAll(&master_[first_entry], pte_pages);
}

void AddressSpaces::PmdsReplaced(uint64_t first_entry,
                                 absl::Span<const Pfn> pte_pages) {
  ReplaceInMaster(first_entry, pte_pages);
  if (shared()) return;
  for (auto& [id, space] : spaces_) {
    RewriteAll(&space.area[first_entry], pte_pages);
  }
}

}  // namespace simvisor
