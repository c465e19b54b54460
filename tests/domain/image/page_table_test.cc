#include "domain/image/page_table.h"

#include <cstdint>

#include "domain/frames/page_contents.h"
#include "domain/image/stream_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using testing::HasSubstr;

constexpr uint64_t kNoExecute = uint64_t{1} << 63;

absl::Status AddThousand(uint64_t from, uint64_t* to) {
  *to = from + 1000;
  return absl::OkStatus();
}

void Put(Page& page, size_t entry, uint64_t value) {
  StoreLe(value, 8, page.data() + 8 * entry);
}
uint64_t Get(const Page& page, size_t entry) {
  return LoadLe(page.data() + 8 * entry, 8);
}

TEST(PageTableTest, FramesOfPresentEntriesChangeAndFlagsStay) {
  Page page{};
  Put(page, 0, uint64_t{7} << 12 | 0x63 | kNoExecute);
  Put(page, 1, uint64_t{7} << 12 | 0x62);  // not present
  Put(page, 511, uint64_t{9} << 12 | 0x1);
  ASSERT_THAT(TranslateTable(kAbiX86_64, 1, absl::MakeSpan(page), AddThousand),
              IsOk());
  EXPECT_EQ(Get(page, 0), uint64_t{1007} << 12 | 0x63 | kNoExecute);
  EXPECT_EQ(Get(page, 1), uint64_t{7} << 12 | 0x62);
  EXPECT_EQ(Get(page, 511), uint64_t{1009} << 12 | 0x1);
}

TEST(PageTableTest, XenSlotsAreCleared) {
  Page page{};
  for (const size_t entry : {255, 256, 271, 272}) {
    Put(page, entry, uint64_t{7} << 12 | 0x67);
  }
  ASSERT_THAT(TranslateTable(kAbiX86_64, 4, absl::MakeSpan(page), AddThousand),
              IsOk());
  EXPECT_EQ(Get(page, 255), uint64_t{1007} << 12 | 0x67);
  EXPECT_EQ(Get(page, 256), 0u);
  EXPECT_EQ(Get(page, 271), 0u);
  EXPECT_EQ(Get(page, 272), uint64_t{1007} << 12 | 0x67);
}

TEST(PageTableTest, OnlyRootsHaveXenSlots) {
  Page page{};
  Put(page, 256, uint64_t{7} << 12 | 0x67);
  ASSERT_THAT(TranslateTable(kAbiX86_64, 3, absl::MakeSpan(page), AddThousand),
              IsOk());
  EXPECT_EQ(Get(page, 256), uint64_t{1007} << 12 | 0x67);
}

TEST(PageTableTest, SuperpageIsRefusedAboveTheLowestLevel) {
  Page page{};
  Put(page, 3, uint64_t{512} << 12 | 0xe3);
  EXPECT_THAT(TranslateTable(kAbiX86_64, 2, absl::MakeSpan(page), AddThousand),
              IsError(absl::StatusCode::kInvalidArgument,
                      Reason::kImageMalformed, HasSubstr("entry 3")));
  Page leaf{};
  Put(leaf, 3, uint64_t{512} << 12 | 0xe3);  // the bit is PAT here
  EXPECT_THAT(TranslateTable(kAbiX86_64, 1, absl::MakeSpan(leaf), AddThousand),
              IsOk());
}

TEST(PageTableTest, FailureOfTheMapIsTheResult) {
  Page page{};
  Put(page, 0, 0x1001);
  EXPECT_EQ(TranslateTable(
                kAbiX86_32Pae, 3, absl::MakeSpan(page),
                [](uint64_t, uint64_t*) { return absl::AbortedError("no"); })
                .code(),
            absl::StatusCode::kAborted);
}

}  // namespace
}  // namespace simvisor
