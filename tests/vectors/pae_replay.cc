#include "tests/vectors/pae_replay.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "domain/p2m/p2m_list.h"
#include "domain/p2m/page_source.h"
#include "domain/processes/address_spaces.h"
#include "gtest/gtest.h"
#include "tests/support/p2m_pages.h"

namespace simvisor {
namespace {

// Gives the lowest free pages from pfn 1000 on; records what is taken and what
// comes back.
class NotingSource : public PageSource {
 public:
  explicit NotingSource(uint64_t free) {
    free_.Add({Pfn(1000), PageCount(free)});
  }
  PfnExtent Take(PageCount count) override {
    calls_ += count.value();
    return free_.TakeLowest(count);
  }
  void Return(PfnExtent pages) override {
    for (Pfn pfn = pages.first; pfn < pages.end(); pfn += PageCount(1)) {
      freed_.push_back(pfn.value());
    }
    free_.Add(pages);
  }

  uint64_t calls() const { return calls_; }
  const std::vector<uint64_t>& freed() const { return freed_; }
  uint64_t free() const { return free_.size().value(); }

 private:
  PfnSet free_;
  uint64_t calls_ = 0;
  std::vector<uint64_t> freed_;
};

// An empty list, and a process's tables in `kernel`.
struct PaeGuest {
  explicit PaeGuest(const PaeKernel& kernel)
      : pages(0, uint64_t{1} << 20),
        list(BuiltList(kAbiX86_32Pae, 1000, 0, pages)) {
    EXPECT_TRUE(list.Relocate(Pfn(0), pages).ok());
    spaces = std::make_unique<AddressSpaces>(kernel, *list);
  }
  PagesFrom pages;
  TestList list;
  std::unique_ptr<AddressSpaces> spaces;
};

PaeKernel KernelOf(const Json& step) {
  return {.shared_kernel_pmd = step.value("shared", false),
          .user_pgds = step.value("user_pgds", 3)};
}

// The flags of an entry of a process's page, which `page` picks.
template <typename PickPage>
Json EntryFlags(const Json& step, PickPage page) {
  PaeGuest guest(KernelOf(step));
  EXPECT_TRUE(
      guest.spaces->Create(1, guest.pages, [] { return absl::OkStatus(); })
          .ok());
  std::vector<AddressSpaceInfo> spaces;
  guest.spaces->List(0, 1, spaces);
  std::string bytes(kPageSize, '\0');
  // Frames of this guest have the numbers of their pfns.
  EXPECT_TRUE(guest.spaces->RenderPage(Pfn(page(spaces.at(0)).value()),
                                       absl::MakeSpan(bytes)));
  const size_t at = 8 * step["entry"].get<size_t>();
  return static_cast<uint8_t>(bytes.at(at)) |
         (static_cast<uint8_t>(bytes.at(at + 1)) & 0xf) << 8;
}

}  // namespace

void PaeReplay::AddTo(Operations& operations) {
  operations.Add("pgd_alloc", "free user_pgds? shared?", this,
                 &PaeReplay::PgdAlloc);
  operations.Add("pmd_entry_flags", "entry user_pgds?", this,
                 &PaeReplay::PmdEntryFlags);
  operations.Add("pgd_entry_flags", "entry user_pgds?", this,
                 &PaeReplay::PgdEntryFlags);
  operations.Add("pae_frames", "processes user_pgds? shared?", this,
                 &PaeReplay::PaeFrames);
}

Json PaeReplay::PgdAlloc(const Json& step) {
  PaeGuest guest(KernelOf(step));
  NotingSource source(step["free"]);
  const bool ok =
      guest.spaces->Create(1, source, [] { return absl::OkStatus(); }).ok();
  EXPECT_TRUE(guest.spaces->CheckInvariants().ok());
  return {{"ok", ok},
          {"allocator_calls", source.calls()},
          {"freed", source.freed()},
          {"free_after", source.free()},
          {"on_pgd_list", guest.spaces->totals().listed}};
}

Json PaeReplay::PmdEntryFlags(const Json& step) {
  return EntryFlags(step, [](const AddressSpaceInfo& s) { return s.pmds[3]; });
}
Json PaeReplay::PgdEntryFlags(const Json& step) {
  return EntryFlags(step, [](const AddressSpaceInfo& s) { return s.pgd; });
}

// Creates the processes and reports what they took.
Json PaeReplay::PaeFrames(const Json& step) {
  EXPECT_EQ(abi_.arch, Arch::kX86_32Pae);
  PaeGuest guest(KernelOf(step));
  PagesFrom& source = guest.pages;
  AddressSpaces& spaces = *guest.spaces;
  const uint64_t processes = step["processes"];
  const PageCount expected = spaces.PagesToCreate(processes);
  const Pfn before = source.next();
  EXPECT_TRUE(
      spaces.Create(processes, source, [] { return absl::OkStatus(); }).ok());
  EXPECT_EQ(source.next() - before, expected);
  EXPECT_EQ(spaces.pages(), expected);
  EXPECT_TRUE(spaces.CheckInvariants().ok());
  const AddressSpaceTotals totals = spaces.totals();
  EXPECT_EQ(totals.spaces, processes);
  return {{"pgd_bytes", totals.pgd_bytes},
          {"pgd_frames", totals.pgd_frames.value()},
          {"pmd_frames", totals.pmd_frames.value()},
          {"kernel_pmd_copies", totals.kernel_pmd_copies.value()},
          {"on_pgd_list", totals.listed}};
}

}  // namespace simvisor
