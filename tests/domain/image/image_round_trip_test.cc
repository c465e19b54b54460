// Guests that are saved to an image and restored.

#include <cstdint>
#include <memory>
#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"
#include "tests/support/image_testing.h"
#include "tests/support/same_guest.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

constexpr uint64_t kPages = 5001;  // ends inside a leaf

class ImageRoundTripTest
    : public testing::TestWithParam<std::tuple<Arch, ToolsView, ImageLayer>> {
 protected:
  ImageRoundTripTest()
      : from_(MakeHost(20000)), to_(MakeHost(20000, Placement::kScatter)) {
    const auto [arch, view, layer] = GetParam();
    layer_ = layer;
    spec_ = MakeSpec("saved", kPages, 9000);
    spec_.arch = arch;
    spec_.p2m.tools_view = view;
    spec_.vcpus = 2;
    guest_ = MustCreate(*from_, spec_);
  }

  // Gives the guest a bit of everything.
  void LiveALittle() {
    ASSERT_THAT(
        guest_->balloon().Down({"balloon down"}, PageCount(1500), false),
        IsOk());
    ASSERT_THAT(
        guest_->p2m().SetRange({"set p2m"}, {Pfn(2003), PageCount(70)},
                               P2mClass::kIdentity, Mfn(), RamPolicy::kRelease),
        IsOk());
    for (const uint64_t pfn : {0, 7, 255, 1200, 3001}) {
      ASSERT_THAT(guest_->contents().Write({"write"}, Pfn(pfn), pfn % 100,
                                           absl::StrCat("page ", pfn)),
                  IsOk());
    }
  }

  std::unique_ptr<Host> from_, to_;
  ImageLayer layer_;
  DomainSpec spec_;
  std::shared_ptr<Domain> guest_;
};

TEST_P(ImageRoundTripTest, GuestIsTheSameAndSavesTheSameAgain) {
  LiveALittle();
  const std::string image = SaveAll(guest_, layer_);
  const auto restored = RestoreAll(*to_, image, spec_);
  ASSERT_THAT(restored, IsOk());
  ExpectSame(*guest_, **restored);
  for (const uint64_t pfn : {0, 7, 255, 1200, 3001, 1, 700}) {
    EXPECT_EQ(ReadPage(*guest_, Pfn(pfn)), ReadPage(**restored, Pfn(pfn)));
  }
  EXPECT_NE(WordOf(*guest_, 0), WordOf(**restored, 0));
  EXPECT_THAT(to_->Audit().findings, testing::IsEmpty());

  ASSERT_THAT((*restored)->Unpause({"unpause"}), IsOk());
  const std::string again = SaveAll(*restored, layer_);
  EXPECT_EQ(again.size(), image.size());
  ASSERT_THAT(from_->DestroyDomain(guest_->id()), IsOk());
  const auto back = RestoreAll(*from_, again, spec_);
  ASSERT_THAT(back, IsOk());
  ExpectSame(**restored, **back);
  EXPECT_THAT(from_->Audit().findings, testing::IsEmpty());
}

TEST_P(ImageRoundTripTest, PiecesMayEndAnywhere) {
  const std::string image = SaveAll(guest_, layer_);
  for (const size_t piece : {1, 7, 4095, 100000}) {
    const auto restored = RestoreAll(*to_, image, spec_, piece);
    ASSERT_THAT(restored, IsOk());
    ExpectSame(*guest_, **restored);
    ASSERT_THAT(to_->DestroyDomain((*restored)->id()), IsOk());
  }
}

TEST_P(ImageRoundTripTest, ImageThatIsCutLeavesNothing) {
  const std::string image = SaveAll(guest_, layer_);
  for (size_t size = 0; size < image.size();
       size += size < 300 ? 1 : image.size() / 37) {
    const auto restored =
        RestoreAll(*to_, absl::string_view(image).substr(0, size), spec_);
    EXPECT_THAT(restored,
                IsError(Code::kInvalidArgument, Reason::kImageTruncated,
                        HasSubstr(absl::StrCat(size, " bytes"))));
    ExpectClean(*to_, kDom0Pages);
  }
}

TEST_P(ImageRoundTripTest, AbandonedImageLeavesNothing) {
  const std::string image = SaveAll(guest_, layer_);
  const PageCount free = to_->Info().free;
  {
    ImageRestorer restorer(*to_, SpecOf(spec_), LimitsFrom::kNotes);
    ASSERT_THAT(restorer.Feed(image), IsOk());
    ASSERT_TRUE(restorer.done());
  }
  EXPECT_EQ(to_->Info().free, free);
  EXPECT_EQ(to_->Info().domains, 1u);
  EXPECT_THAT(to_->Audit().findings, testing::IsEmpty());
  EXPECT_THAT(RestoreAll(*to_, image, spec_), IsOk());
}

TEST_P(ImageRoundTripTest, FullHostRefusesARestore) {
  const auto small = MakeHost(kDom0Pages + 256 + 3000);
  const auto restored = RestoreAll(*small, SaveAll(guest_, layer_), spec_);
  EXPECT_THAT(restored,
              IsError(Code::kResourceExhausted, Reason::kHostMemoryExhausted,
                      HasSubstr("restore")));
  ExpectClean(*small, kDom0Pages);
}

TEST_P(ImageRoundTripTest, TakenNameIsRefused) {
  MustCreate(*to_, MakeSpec("saved", 2000));
  EXPECT_THAT(
      RestoreAll(*to_, SaveAll(guest_, layer_), spec_),
      IsError(Code::kAlreadyExists, Reason::kNameInUse, HasSubstr("saved")));
  ExpectClean(*to_, kDom0Pages + 2000);
}

TEST_P(ImageRoundTripTest, BytesThatAreFlippedNeverBreakTheHost) {
  LiveALittle();
  const std::string image = SaveAll(guest_, layer_);
  uint64_t seed = 12345;
  for (int i = 0; i < 150; ++i) {
    std::string damaged = image;
    for (int flips = 0; flips < 3; ++flips) {
      seed = seed * 6364136223846793005 + 1442695040888963407;
      // Damages heads and notes more often than pages of zeros.
      const size_t range = i % 2 == 0 ? 4096 : damaged.size();
      damaged[(seed >> 20) % range] ^= static_cast<char>(1 << (seed >> 60 & 7));
    }
    const auto restored = RestoreAll(*to_, damaged, spec_);
    if (restored.ok()) {
      EXPECT_THAT(to_->Audit().findings, testing::IsEmpty());
      ASSERT_THAT(to_->DestroyDomain((*restored)->id()), IsOk());
    }
    ExpectClean(*to_, kDom0Pages);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, ImageRoundTripTest,
    testing::Combine(testing::Values(Arch::kX86_64, Arch::kX86_32Pae),
                     testing::Values(ToolsView::kTree, ToolsView::kLinear),
                     testing::Values(ImageLayer::kLibxc, ImageLayer::kLibxl,
                                     ImageLayer::kXl)));

// An image of a small guest, and where the pages of its record are.
class ImageRecordTest : public testing::Test {
 protected:
  ImageRecordTest() : from_(MakeHost(20000)), to_(MakeHost(20000)) {
    spec_ = MakeSpec("saved", 3000);
    const auto guest = MustCreate(*from_, spec_);
    record_ = guest->migration().Suspend({"save"}).value();
    ImageSaver saver(guest, record_, ImageLayer::kLibxc, "");
    while (!saver.done()) EXPECT_THAT(saver.Next(image_), IsOk());
    at_ = image_.find(std::string("xen-3.0-x86_64\0", 15));
  }

  // Restores the image with one number changed in start_info or in the page of
  // notes after it.
  absl::Status With(size_t offset, uint64_t number) {
    std::string changed = image_;
    StoreLe(number, 8, &changed[at_ + offset]);
    const absl::Status status = RestoreAll(*to_, changed, spec_).status();
    ExpectClean(*to_, kDom0Pages);
    return status;
  }

  std::unique_ptr<Host> from_, to_;
  DomainSpec spec_;
  SuspendRecord record_;
  std::string image_;
  size_t at_ = 0;
};

auto IsMalformed(absl::string_view what) {
  return IsError(Code::kInvalidArgument, Reason::kImageMalformed,
                 HasSubstr(std::string(what)));
}

TEST_F(ImageRecordTest, FieldsOfStartInfoAreChecked) {
  ASSERT_NE(at_, std::string::npos);
  EXPECT_THAT(With(0, 0), IsMalformed("magic"));
  EXPECT_THAT(With(32, 2999), IsMalformed("nr_pages of start_info is 2999"));
  EXPECT_THAT(With(56, 0), IsMalformed("pfn 0x0, which the notes do not call"));
  EXPECT_THAT(With(72, record_.store.value()), IsMalformed("name twice"));
  EXPECT_THAT(With(2056, 0), IsMalformed("byte 2056, is 0"));
  EXPECT_THAT(With(2056, uint64_t{1} << 40), IsMalformed("byte 2056, is"));
  EXPECT_THAT(With(2056, record_.notes.size() - 2),
              IsMalformed("the notes end there"));
  EXPECT_THAT(With(2064, 1u << 20), IsMalformed("which was not sent"));
  EXPECT_THAT(With(2072, 17), IsMalformed("byte 2072, is 17"));
  EXPECT_THAT(With(2080, 0), IsMalformed("do not call free"));
}

TEST_F(ImageRecordTest, NotesInACircleOrGoingOnAreRefused) {
  const std::string link(8, '\xff');
  // The one page of notes has no successor.
  const size_t page = image_.find(link + record_.notes.substr(0, 64));
  ASSERT_NE(page, std::string::npos);
  ASSERT_EQ(record_.notes_pages.size(), 1u);
  const uint64_t own = record_.notes_pages.front().value();
  EXPECT_THAT(With(page - at_, own), IsMalformed("no page may follow"));
  StoreLe(own, 8, &image_[page]);
  EXPECT_THAT(With(2056, 10 * kPageSize), IsMalformed("some of them already"));
}

TEST_F(ImageRecordTest, BudgetThatIsUsedUpRefusesImages) {
  ByteCharge all(&to_->image_memory());
  ASSERT_TRUE(all.Resize(to_->image_memory().limit() - 1000));
  EXPECT_THAT(RestoreAll(*to_, image_, spec_),
              IsError(Code::kResourceExhausted, Reason::kImageMemoryExhausted,
                      HasSubstr("--max-image-memory")));
  ExpectClean(*to_, kDom0Pages);
  ASSERT_TRUE(all.Resize(0));
  EXPECT_THAT(RestoreAll(*to_, image_, spec_), IsOk());
  EXPECT_EQ(to_->image_memory().used(), 0u);
}

TEST_F(ImageRecordTest, EndedCallStopsASaveAndARestore) {
  const auto gone = [] { return absl::CancelledError("gone"); };
  ImageSaver saver(*from_->Find(std::string("saved")), record_,
                   ImageLayer::kLibxc, "");
  std::string out;
  EXPECT_EQ(saver.Next(out, gone), gone());
  EXPECT_EQ(out, "");
  ImageRestorer restorer(*to_, SpecOf(spec_), LimitsFrom::kNotes);
  ASSERT_THAT(restorer.Feed(image_), IsOk());
  EXPECT_EQ(restorer.Finish(gone).status(), gone());
}

TEST(ImageVcpusTest, GuestWithAllItsVirtualCpusComesBack) {
  const auto host = MakeHost(20000);
  DomainSpec spec = MakeSpec("wide", 3000);
  spec.vcpus = kMaxVcpus;
  const auto guest = MustCreate(*host, spec);
  const std::string image = SaveAll(guest);
  ASSERT_THAT(host->DestroyDomain(guest->id()), IsOk());
  spec.vcpus = 0;  // as many as the image has
  const auto restored = RestoreAll(*host, image, spec);
  ASSERT_THAT(restored, IsOk());
  EXPECT_EQ((*restored)->Info().vcpus, kMaxVcpus);
  EXPECT_EQ((*restored)->vcpus().List(8000, 1000)->size(), 192u);
}

TEST(ImageSizeTest, PagesThatWereNeverWrittenCostEightBytes) {
  const auto host = MakeHost(300000);
  DomainSpec spec = MakeSpec("large", 262144);
  spec.p2m.tools_view = ToolsView::kLinear;
  const auto guest = MustCreate(*host, spec);
  const std::string image = SaveAll(guest);
  // 512 leaves, their tables, and 8 bytes for each of the others.
  EXPECT_LT(image.size(), 262144 * 8 + 530 * kPageSize + 100000);
}

}  // namespace
}  // namespace simvisor
