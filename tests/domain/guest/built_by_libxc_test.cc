// Boots of lists whose pages another builder chose.

#include <algorithm>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "domain/guest/free_pages.h"
#include "domain/guest/guest_boot.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/e820_testing.h"
#include "tests/support/p2m_pages.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

constexpr uint64_t kPages = 300003;
// Where libxc puts a kernel, at 16 MiB, and what else it builds besides the
// list.
constexpr PfnExtent kKernelAndRamdisk = {Pfn(0x1000), PageCount(8192 + 3000)};
constexpr uint64_t kListAtBottom = 0x1000 + 8192 + 3000;
constexpr uint64_t kListAtTop = 280000;

MemorySetup PlanWithHole(const Abi& abi, uint64_t mib) {
  const E820Map map =
      MakeMap({Ram(0, mib * kMiB), Reserved(mib * kMiB, (mib + 1) * kMiB),
               Ram((mib + 1) * kMiB, 16384 * kMiB)});
  auto setup = PlanMemorySetup({.abi = &abi,
                                .e820 = &map,
                                .nr_pages = PageCount(kPages),
                                .ceiling = PageCount(2000000),
                                .initial = true,
                                .area_limit = Pfn(0)});
  EXPECT_THAT(setup, IsOk());
  return *std::move(setup);
}

enum class Layout { kOurs, kBottom, kReversed, kScattered, kTop };

struct Guest {
  TestList list;
  FreePages free;
};

// Runs of frames, downwards.
void StoreFrames(TestList& list) {
  for (uint64_t at = 0; at < kPages;) {
    const uint64_t count = std::min<uint64_t>(kPages - at, 1 + at % 700);
    list.StoreFrames(Pfn(at), {Mfn(0x1000000 - at - count), PageCount(count)});
    at += count;
  }
}

std::vector<Pfn> PagesOf(Layout layout, uint64_t leaves) {
  const uint64_t first = layout == Layout::kTop ? kListAtTop : kListAtBottom;
  const uint64_t step = layout == Layout::kScattered ? 7 : 1;
  std::vector<Pfn> pages;
  for (uint64_t i = 0; i < leaves; ++i) pages.push_back(Pfn(first + step * i));
  if (layout == Layout::kReversed) std::reverse(pages.begin(), pages.end());
  if (layout == Layout::kScattered) {
    std::shuffle(pages.begin(), pages.end(), std::mt19937_64(1));
  }
  return pages;
}

std::unique_ptr<Guest> Build(const Abi& abi, const P2mOptions& options,
                             const MemorySetup& setup, Layout layout) {
  auto guest = std::make_unique<Guest>();
  guest->list = TestList::Make(abi, setup.area_end, options);
  guest->free.Return(ExtentBetween(Pfn(kKernelLowPages.value()), Pfn(kPages)));
  for (const PfnExtent& hole : setup.identity) {
    guest->free.Remove(
        ExtentBetween(hole.first, std::min(hole.end(), Pfn(kPages))));
  }
  if (layout == Layout::kOurs) {
    EXPECT_THAT(guest->list.Build(PageCount(kPages), guest->free), IsOk());
    StoreFrames(guest->list);
    return guest;
  }
  const uint64_t leaves = (kPages + abi.leaf_span() - 1) / abi.leaf_span();
  const std::vector<Pfn> pages = PagesOf(layout, leaves);
  for (const Pfn page : pages) guest->free.Remove({page, PageCount(1)});
  guest->free.Remove(kKernelAndRamdisk);
  guest->list.words->Resize(Pfn(leaves * abi.leaf_span()));
  StoreFrames(guest->list);
  auto found = BuilderList::Found(*guest->list.words, PageCount(kPages), pages);
  EXPECT_THAT(found, IsOk());
  guest->list.built.emplace(*std::move(found));
  return guest;
}

absl::StatusOr<BootResult> Boot(Guest& guest, const MemorySetup& setup) {
  return BootGuest(*std::exchange(guest.list.built, std::nullopt), setup,
                   guest.list.options, Pfn(0), guest.free);
}

void ExpectSameWords(const P2mList& ours, const P2mList& theirs) {
  ASSERT_EQ(ours.p2m_size(), theirs.p2m_size());
  const Pfn end = ours.p2m_size();
  for (const P2mView view : {P2mView::kResolved, P2mView::kRaw}) {
    for (Pfn at(0); at < end;) {
      const P2mRun run = ours.RunAt(at, end, view, RunMerge::kByFrame);
      ASSERT_EQ(run, theirs.RunAt(at, end, view, RunMerge::kByFrame))
          << at.value();
      at = run.pfns.end();
    }
  }
}

TEST(BuiltByLibxcTest, BootsOfAllLayoutsGiveTheSameWordsAndFigures) {
  for (const Abi* abi : {&kAbiX86_64, &kAbiX86_32Pae}) {
    const MemorySetup setup = PlanWithHole(*abi, 4);
    for (const int options_bits : {0, 1, 2, 3}) {
      const P2mOptions options = {
          options_bits & 1 ? ToolsView::kLinear : ToolsView::kTree,
          options_bits & 2 ? BalloonRoom::kCompact : BalloonRoom::kFaithful};
      const auto ours = Build(*abi, options, setup, Layout::kOurs);
      const PageCount needed = ours->list.PagesToBoot(Pfn(0));
      const auto wanted = Boot(*ours, setup);
      ASSERT_THAT(wanted, IsOk());
      for (const Layout layout :
           {Layout::kOurs, Layout::kBottom, Layout::kReversed,
            Layout::kScattered, Layout::kTop}) {
        SCOPED_TRACE(testing::Message() << abi->name << " " << options_bits
                                        << " " << static_cast<int>(layout));
        const auto theirs = Build(*abi, options, setup, layout);
        EXPECT_EQ(theirs->list.PagesToBoot(Pfn(0)), needed);
        const auto booted = Boot(*theirs, setup);
        ASSERT_THAT(booted, IsOk());
        EXPECT_THAT(booted->list->CheckInvariants(), IsOk());
        EXPECT_EQ(booted->list->Summary(), wanted->list->Summary());
        EXPECT_EQ(booted->list->structure().size(),
                  wanted->list->structure().size());
        EXPECT_EQ(booted->list->last_pfn(), wanted->list->last_pfn());
        EXPECT_EQ(booted->list->generation(), wanted->list->generation());
        EXPECT_EQ(booted->moved.size(), wanted->moved.size());
        ExpectSameWords(*wanted->list, *booted->list);
      }
    }
  }
}

// xen_relocate_p2m() would move such a list; this kernel refuses it, and
// nothing has changed.
TEST(BuiltByLibxcTest, AListUnderAHoleIsRefused) {
  for (const Abi* abi : {&kAbiX86_64, &kAbiX86_32Pae}) {
    const MemorySetup setup = PlanWithHole(*abi, 60);  // pfn 0x3c00
    const auto guest = Build(*abi, {}, setup, Layout::kBottom);
    const P2mSummary before = guest->list.Summary();
    EXPECT_THAT(Boot(*guest, setup),
                IsError(absl::StatusCode::kFailedPrecondition,
                        Reason::kPageInUseByKernel,
                        testing::HasSubstr("[0x3c00, 0x3d00)")));
    EXPECT_EQ(CountWords(*guest->list.words).ram, before.ram);
    EXPECT_EQ(guest->list.words->generation(), 0u);
  }
}

}  // namespace
}  // namespace simvisor
