#include "domain/image/guest_pages.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "domain/image/stream_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace simvisor {
namespace {

SuspendRecord RecordOf(Arch arch) {
  SuspendRecord record;
  record.arch = arch;
  record.pages = PageCount(3000);
  record.tools.root = Mfn(0x4711);
  record.last_pfn = Pfn(4096);
  record.generation = 6;
  record.start_info = Pfn(256);
  record.store = Pfn(257);
  record.console = Pfn(258);
  record.gdt = Pfn(259);
  record.tables = {Pfn(260), Pfn(261), Pfn(262)};
  if (arch == Arch::kX86_64) record.tables.push_back(Pfn(263));
  record.notes =
      absl::StrCat(std::string(SuspendRecord::kNotesPerPage, 'a'), "rest");
  record.notes_pages = {Pfn(270), Pfn(280)};
  return record;
}

uint64_t Load(const Page& page, size_t at, size_t bytes) {
  return LoadLe(page.data() + at, bytes);
}

class GuestPagesTest : public testing::TestWithParam<Arch> {
 protected:
  GuestPagesTest()
      : record_(RecordOf(GetParam())), layout_(LayoutOf(GetParam())) {}

  SuspendRecord record_;
  const GuestLayout& layout_;
};

TEST_P(GuestPagesTest, StartInfoNamesPagesByPfn) {
  const Page page = MakeStartInfo(record_);
  EXPECT_EQ(std::string(page.data(), 8), "xen-3.0-");
  EXPECT_EQ(Load(page, layout_.nr_pages, layout_.width), 3000u);
  EXPECT_EQ(Load(page, layout_.store_mfn, layout_.width), 257u);
  EXPECT_EQ(Load(page, layout_.console_mfn, layout_.width), 258u);
}

TEST_P(GuestPagesTest, NotesAreFoundAgain) {
  const auto place = FindNotes(record_.arch, MakeStartInfo(record_));
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->bytes, record_.notes.size());
  EXPECT_EQ(place->first, Pfn(270));
  EXPECT_EQ(place->record_pages.size(), 1 + record_.tables.size());
  EXPECT_EQ(FindNotes(Arch::kX86_64, Page{}), std::nullopt);
}

TEST_P(GuestPagesTest, NotesPagesAreAChain) {
  const Page first = MakeNotesPage(record_, 0);
  const Page last = MakeNotesPage(record_, 1);
  EXPECT_EQ(Load(first, 0, 8), 280u);
  EXPECT_EQ(Load(last, 0, 8), Pfn::None().value());
  EXPECT_EQ(first[8], 'a');
  EXPECT_EQ(std::string(last.data() + 8, 5), std::string("rest\0", 5));
}

TEST_P(GuestPagesTest, TablesLeadToStartInfo) {
  uint64_t pfn = record_.tables.front().value();
  for (size_t i = 0; i < record_.tables.size(); ++i) {
    ASSERT_EQ(Pfn(pfn), record_.tables[i]);
    const Page page = MakeTable(record_, i);
    uint64_t entry = 0;
    int entries = 0;
    for (size_t at = 0; at < kPageSize; at += 8) {
      if (Load(page, at, 8) == 0) continue;
      entry = Load(page, at, 8);
      ++entries;
    }
    ASSERT_EQ(entries, 1);
    EXPECT_EQ(entry & 1, 1u);
    pfn = (entry & 0xffffffffff000) >> kPageShift;
  }
  EXPECT_EQ(Pfn(pfn), record_.start_info);
}

TEST_P(GuestPagesTest, ContextNamesRootAndGdt) {
  const std::string context = MakeContext(record_);
  ASSERT_EQ(context.size(), layout_.context_bytes);
  const auto load = [&](size_t at) {
    return LoadLe(context.data() + at, layout_.width);
  };
  EXPECT_EQ(load(layout_.start_info), 256u);
  EXPECT_EQ(load(layout_.gdt_frames), 259u);
  EXPECT_EQ(load(layout_.gdt_entries), 32u);
  EXPECT_EQ(load(layout_.cr1), 0u);
  EXPECT_EQ(load(layout_.cr3), uint64_t{260} << kPageShift);
}

TEST_P(GuestPagesTest, SharedInfoTellsToolsWhereTheListIs) {
  const Page page = MakeSharedInfo(record_);
  EXPECT_EQ(Load(page, layout_.max_pfn, layout_.width), 4096u);
  EXPECT_EQ(Load(page, layout_.frame_list_list, layout_.width), 0x4711u);
  EXPECT_EQ(Load(page, layout_.p2m_cr3, layout_.width), 0u);
  EXPECT_EQ(Load(page, layout_.p2m_generation, layout_.width), 6u);
  EXPECT_EQ(static_cast<unsigned char>(page[layout_.evtchn_mask]), 0xff);
}

INSTANTIATE_TEST_SUITE_P(BothAbis, GuestPagesTest,
                         testing::Values(Arch::kX86_64, Arch::kX86_32Pae));

}  // namespace
}  // namespace simvisor
