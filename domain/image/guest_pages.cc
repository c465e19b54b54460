#include "domain/image/guest_pages.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/string_view.h"
#include "domain/image/stream_format.h"
#include "domain/p2m/page_entries.h"
#include "domain/units/abi.h"

namespace simvisor {
namespace {

// After struct start_info, which has about 1200 bytes.
constexpr size_t kNotesAt = 2048;
constexpr uint64_t kNotesMagic = 0x4e4b525653494d31;
constexpr size_t kMaxRecordPages = 16;
constexpr absl::string_view kStartInfoMagic[] = {"xen-3.0-x86_64",
                                                 "xen-3.0-x86_32p"};

// VGCF_in_kernel and VGCF_online.
constexpr uint64_t kContextFlags = 0x24;
constexpr uint64_t kGdtEntries = 32;

// Present, writable, accessed, dirty; and the entry of a PAE root.
constexpr uint64_t kLeafEntry = 0x63;
constexpr uint64_t kPaeRootEntry = 0x1;

absl::string_view MagicOf(Arch arch) {
  return kStartInfoMagic[arch == Arch::kX86_64 ? 0 : 1];
}

void Put(uint64_t number, size_t bytes, size_t at, Page& page) {
  StoreLe(number, bytes, page.data() + at);
}

}  // namespace

Page MakeStartInfo(const SuspendRecord& record) {
  const GuestLayout& layout = LayoutOf(record.arch);
  Page page{};
  const absl::string_view magic = MagicOf(record.arch);
  std::copy(magic.begin(), magic.end(), page.begin());
  Put(record.pages.value(), layout.width, layout.nr_pages, page);
  Put(record.store.value(), layout.width, layout.store_mfn, page);
  Put(record.console.value(), layout.width, layout.console_mfn, page);

  std::vector<Pfn> others = {record.gdt};
  if (record.tools.view == ToolsView::kTree) {
    others.insert(others.end(), record.tables.begin(), record.tables.end());
  }
  size_t at = kNotesAt;
  const Pfn first =
      record.notes_pages.empty() ? Pfn::None() : record.notes_pages.front();
  for (const uint64_t number : {kNotesMagic, uint64_t{record.notes.size()},
                                first.value(), uint64_t{others.size()}}) {
    Put(number, 8, at, page);
    at += 8;
  }
  for (const Pfn pfn : others) {
    Put(pfn.value(), 8, at, page);
    at += 8;
  }
  return page;
}

std::optional<NotesPlace> FindNotes(Arch arch,
                                    absl::Span<const char> start_info) {
  const GuestLayout& layout = LayoutOf(arch);
  const auto word = [&](size_t at) {
    return LoadLe(start_info.data() + at, layout.width);
  };
  const auto load = [&](size_t i) {
    return LoadLe(start_info.data() + kNotesAt + 8 * i, 8);
  };
  if (load(0) != kNotesMagic) return std::nullopt;
  const absl::string_view magic = MagicOf(arch);
  NotesPlace place;
  place.magic = absl::string_view(start_info.data(), magic.size()) == magic;
  place.pages = PageCount(word(layout.nr_pages));
  place.store = Pfn(word(layout.store_mfn));
  place.console = Pfn(word(layout.console_mfn));
  place.bytes = load(1);
  place.first = Pfn(load(2));
  place.other_pages = load(3);
  const uint64_t others =
      std::min<uint64_t>(place.other_pages, kMaxRecordPages);
  for (uint64_t i = 0; i < others; ++i) {
    place.record_pages.push_back(Pfn(load(4 + i)));
  }
  return place;
}

Page MakeNotesPage(const SuspendRecord& record, size_t i) {
  assert(i < record.notes_pages.size());
  Page page{};
  const bool last = i + 1 == record.notes_pages.size();
  Put((last ? Pfn::None() : record.notes_pages[i + 1]).value(), 8, 0, page);
  const absl::string_view part = absl::string_view(record.notes)
                                     .substr(i * SuspendRecord::kNotesPerPage,
                                             SuspendRecord::kNotesPerPage);
  std::copy(part.begin(), part.end(), page.begin() + 8);
  return page;
}

Page MakeTable(const SuspendRecord& record, size_t i) {
  const Abi& abi = AbiOf(record.arch);
  const int level = abi.page_table_levels - static_cast<int>(i);
  const uint64_t address =
      abi.direct_map_base + (record.start_info.value() << kPageShift);
  const uint64_t entry = address >> (kPageShift + 9 * (level - 1)) & 511;
  const Pfn target = level == 1 ? record.start_info : record.tables[i + 1];
  const bool pae_root = level == 3 && abi.page_table_levels == 3;
  const uint64_t flags = level == 1 ? PtePageBits(abi) | kLeafEntry
                         : pae_root ? kPaeRootEntry
                                    : PteTableFlags(abi);
  Page page{};
  Put(target.value() << kPageShift | flags, 8,
      8 * (pae_root ? entry & 3 : entry), page);
  return page;
}

std::string MakeContext(const SuspendRecord& record) {
  const GuestLayout& layout = LayoutOf(record.arch);
  std::string context(layout.context_bytes, '\0');
  const auto put = [&](size_t at, uint64_t number) {
    StoreLe(number, layout.width, &context[at]);
  };
  put(layout.flags, kContextFlags);
  put(layout.start_info, record.start_info.value());
  put(layout.gdt_frames, record.gdt.value());
  put(layout.gdt_entries, kGdtEntries);
  put(layout.cr3, AbiOf(record.arch).Cr3Of(Mfn(record.tables.front().value())));
  return context;
}

Page MakeSharedInfo(const SuspendRecord& record) {
  const GuestLayout& layout = LayoutOf(record.arch);
  Page page{};
  std::fill_n(page.begin() + layout.evtchn_mask, layout.evtchn_mask_bytes,
              '\xff');
  const auto put = [&](size_t at, uint64_t number) {
    Put(number, layout.width, at, page);
  };
  put(layout.max_pfn, record.last_pfn.value());
  put(layout.frame_list_list, record.tools.root.value());
  put(layout.p2m_cr3, record.tools.p2m_cr3);
  put(layout.p2m_vaddr, record.tools.p2m_vaddr);
  put(layout.p2m_generation, record.generation);
  return page;
}

}  // namespace simvisor
