// Boots of images whose pages another builder chose.

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "domain/guest/built_image.h"
#include "domain/guest/guest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/booted_guest.h"
#include "tests/support/e820_testing.h"

namespace simvisor {
namespace {

using testing::IsEmpty;

constexpr PageCount kPages{300003};
// Where libxc puts a kernel, at 16 MiB, and what else it builds besides the
// list.
constexpr PfnExtent kKernelAndRamdisk = {Pfn(0x1000), PageCount(8192 + 3000)};
constexpr uint64_t kListAtBottom = 0x1000 + 8192 + 3000;
constexpr uint64_t kListAtTop = 280000;

BuildInput InputWithHole(const Abi& abi, uint64_t mib,
                         const P2mOptions& options) {
  BuildInput input;
  input.abi = &abi;
  input.name = "built elsewhere";
  input.config.e820 =
      MakeMap({Ram(0, mib * kMiB), Reserved(mib * kMiB, (mib + 1) * kMiB),
               Ram((mib + 1) * kMiB, 16384 * kMiB)});
  input.config.p2m = options;
  input.memory = kPages;
  input.ceiling = PageCount(2000000);
  input.initial = true;
  return input;
}

enum class Layout { kOurs, kBottom, kReversed, kScattered, kTop };

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

// An image whose builder also filled `filled`.
BootedGuest::MakeImage BuilderOf(Layout layout,
                                 const std::vector<PfnExtent>& filled = {
                                     kKernelAndRamdisk}) {
  if (layout == Layout::kOurs) return BootedGuest::Ours;
  return [=](BuildPlan plan, BootedGuest& on) {
    P2mWords& words = on.memory->words();
    const uint64_t span = words.abi().leaf_span();
    const uint64_t leaves = (kPages.value() + span - 1) / span;
    words.Resize(Pfn(leaves * span));
    on.Populate(kPages);
    auto list = BuilderList::Found(words, kPages, PagesOf(layout, leaves));
    EXPECT_THAT(list, IsOk());
    PfnSet used;
    for (const PfnExtent& pages : filled) used.Add(pages);
    return BuiltImage::Found(std::move(plan), *std::move(list), used, nullptr);
  };
}

void ExpectSameList(const P2mList& ours, const P2mList& theirs) {
  EXPECT_EQ(ours.Summary(), theirs.Summary());
  EXPECT_EQ(ours.structure().size(), theirs.structure().size());
  EXPECT_EQ(ours.last_pfn(), theirs.last_pfn());
  EXPECT_EQ(ours.generation(), theirs.generation());
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

// Words and figures must not tell who built the guest.
TEST(BuiltByLibxcTest, BootsOfAllLayoutsGiveTheSameWordsAndFigures) {
  for (const Abi* abi : {&kAbiX86_64, &kAbiX86_32Pae}) {
    for (const int options_bits : {0, 1, 2, 3}) {
      const P2mOptions options = {
          options_bits & 1 ? ToolsView::kLinear : ToolsView::kTree,
          options_bits & 2 ? BalloonRoom::kCompact : BalloonRoom::kFaithful};
      const BuildInput input = InputWithHole(*abi, 4, options);
      BootedGuest ours(input);
      const PageCount needed = ours.image->PagesStillToBoot();
      ours.Boot();
      for (const Layout layout :
           {Layout::kOurs, Layout::kBottom, Layout::kReversed,
            Layout::kScattered, Layout::kTop}) {
        SCOPED_TRACE(testing::Message() << abi->name << " " << options_bits
                                        << " " << static_cast<int>(layout));
        BootedGuest theirs(input, BuilderOf(layout));
        EXPECT_EQ(theirs.image->PagesStillToBoot(), needed);
        theirs.Boot();
        EXPECT_THAT(theirs.Findings(), IsEmpty());
        ExpectSameList(ours.guest->list(), theirs.guest->list());
        EXPECT_EQ(theirs.guest->at_boot().remapped,
                  ours.guest->at_boot().remapped);
        EXPECT_EQ(theirs.guest->at_boot().released,
                  ours.guest->at_boot().released);
        EXPECT_EQ(theirs.guest->balloon().size(), ours.guest->balloon().size());
        const PageCount used =
            layout == Layout::kOurs ? PageCount(0) : kKernelAndRamdisk.count;
        EXPECT_EQ(theirs.guest->free_pages().count() + used,
                  ours.guest->free_pages().count());
      }
    }
  }
}

// Boot() fails, and image and words are as before.
void ExpectRefused(BootedGuest& on, absl::StatusCode code, Reason reason,
                   const std::string& text) {
  const P2mSummary before = on.image->list().Summary();
  EXPECT_THAT(
      Guest::Boot({on.domain, "unpause"}, *on.image, *on.memory, on.hypervisor),
      IsError(code, reason, testing::HasSubstr(text)));
  EXPECT_EQ(on.image->list().Summary(), before);
  EXPECT_EQ(on.memory->words().generation(), 0u);
  EXPECT_THAT(on.Findings(), IsEmpty());
}

// xen_relocate_p2m() would move such a list; this kernel refuses it, and
// nothing has changed.
TEST(BuiltByLibxcTest, AListUnderAHoleIsRefused) {
  for (const Abi* abi : {&kAbiX86_64, &kAbiX86_32Pae}) {
    // The hole begins at pfn 0x3c00.
    BootedGuest on(InputWithHole(*abi, 60, {}), BuilderOf(Layout::kBottom));
    ExpectRefused(on, absl::StatusCode::kFailedPrecondition,
                  Reason::kPageInUseByKernel, "[0x3c00, 0x3d00)");
  }
}

// Such a kernel would stop before its memory allocator is up.  Here the image
// stays as it was.
TEST(BuiltByLibxcTest, AnImageThatLeavesTooFewPagesIsRefused) {
  for (const Abi* abi : {&kAbiX86_64, &kAbiX86_32Pae}) {
    const BuildInput input = InputWithHole(*abi, 4, {});
    const uint64_t span = abi->leaf_span();
    const Pfn list_end(kListAtBottom + (kPages.value() + span - 1) / span);
    const Pfn list(kListAtBottom);
    const std::vector<PfnExtent> filled = {
        ExtentBetween(Pfn(kKernelLowPages.value()), list),
        ExtentBetween(list_end + PageCount(3), Pfn(kPages.value()))};
    BootedGuest on(input, BuilderOf(Layout::kBottom, filled));
    EXPECT_EQ(on.image->free_pages().count(), PageCount(3));
    ExpectRefused(on, absl::StatusCode::kResourceExhausted,
                  Reason::kGuestMemoryExhausted,
                  "and got 3; leave more pages free");
  }
}

}  // namespace
}  // namespace simvisor
