#include "domain/image/image_reader.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "domain/image/image_writer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/image/image_records.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using testing::Pair;
using testing::UnorderedElementsAre;

TEST(ImageReaderTest, ValidImagesAreReported) {
  for (const Arch arch : {Arch::kX86_64, Arch::kX86_32Pae}) {
    NotingSink sink;
    ASSERT_THAT(ReadAll(Bytes(Sound(arch)), &sink), IsOk());
    EXPECT_THAT(sink.notes, ElementsAre(absl::StrCat("arch ", AbiOf(arch).name),
                                        "p2m to 63", "batch of 4", "end 9 11"));
    EXPECT_EQ(sink.pages_seen, 4);
  }
}

TEST(ImageReaderTest, LayersAreRecognisedByTheirFirstBytes) {
  for (const ImageLayer layer : {ImageLayer::kLibxl, ImageLayer::kXl}) {
    std::string image;
    AppendImageStart(layer, "{}", image);
    const std::string bare = Bytes(Sound());
    image += bare.substr(kImageHeaderBytes + kDomainHeaderBytes);
    image += Le(kLibxlEnd, 4) + Le(0, 4);
    NotingSink sink;
    ASSERT_THAT(ReadAll(image, &sink), IsOk());
    EXPECT_EQ(sink.notes.front(),
              layer == ImageLayer::kXl ? "config {}" : "arch x86_64");
  }
}

TEST(ImageReaderTest, VersionTwoHasNoStaticDataEnd) {
  Records records = Sound();
  EXPECT_THAT(ReadAll(Bytes(records, 2)), Malformed("version 2"));
  records.erase(records.begin() + 1);
  EXPECT_THAT(ReadAll(Bytes(records, 2)), IsOk());
  EXPECT_THAT(ReadAll(Bytes(records, 3)), Malformed("STATIC_DATA_END"));
  records.insert(records.begin() + 1, {RecordType::kX86CpuidPolicy, ""});
  EXPECT_THAT(ReadAll(Bytes(records, 2)), Malformed("version 2"));
}

TEST(ImageReaderTest, HeadersAreChecked) {
  const std::string image = Bytes(Sound());
  struct Case {
    size_t at;
    char value;
    Reason reason;
  };
  for (const Case& c :
       std::vector<Case>{{0, 'x', Reason::kImageMalformed},     // marker
                         {8, 'x', Reason::kImageMalformed},     // id
                         {15, 1, Reason::kImageMalformed},      // version 1
                         {15, 4, Reason::kImageMalformed},      // version 4
                         {17, 1, Reason::kImageUnsupported},    // big-endian
                         {24, 2, Reason::kImageUnsupported},    // HVM
                         {24, 3, Reason::kImageMalformed},      // no type
                         {28, 13, Reason::kImageMalformed}}) {  // page size
    std::string changed = image;
    changed[c.at] = c.value;
    EXPECT_THAT(ReadAll(changed), IsError(absl::StatusCode::kInvalidArgument,
                                          c.reason, HasSubstr("byte")))
        << c.at;
  }
  std::string reserved = image;
  reserved[16] = 2;  // reserved option
  reserved[20] = 1;  // reserved bytes
  reserved[30] = 1;
  EXPECT_THAT(ReadAll(reserved), IsOk());
}

TEST(ImageReaderTest, ErrorsNameRecordAndOffsetForPrograms) {
  const std::string image = Bytes(Sound());
  std::string head = image;
  head[24] = 3;  // the domain's type, at byte 24
  EXPECT_THAT(FactsOf(ReadAll(head)), ElementsAre(Pair("offset", "24")));
  EXPECT_THAT(
      FactsOf(ReadChanged([](Records& r) { r[0].body[1] = 3; })),
      UnorderedElementsAre(Pair("offset", "40"), Pair("field", "X86_PV_INFO")));
}

TEST(ImageReaderTest, PvInfoComesOnceAndInTwoKinds) {
  EXPECT_THAT(ReadChanged([](Records& r) { r.insert(r.begin(), r[0]); }),
              Malformed("there is one already"));
  EXPECT_THAT(ReadChanged([](Records& r) { r[0].body[1] = 3; }),
              Malformed("8-byte words with 3 levels"));
  EXPECT_THAT(ReadChanged([](Records& r) { r[0].body.resize(4); }),
              Malformed("it must have 8"));
  EXPECT_THAT(ReadChanged([](Records& r) { std::swap(r[0], r[2]); }),
              Malformed("before X86_PV_INFO"));
  EXPECT_THAT(ReadChanged([](Records& r) { std::swap(r[0], r[5]); }),
              Malformed("before X86_PV_INFO"));
}

TEST(ImageReaderTest, StaticDataEndsOnceBeforeMemory) {
  EXPECT_THAT(ReadChanged([](Records& r) { r.insert(r.begin(), r[1]); }),
              Malformed("there is one already"));
  EXPECT_THAT(ReadChanged([](Records& r) { std::swap(r[1], r[2]); }),
              Malformed("before STATIC_DATA_END"));
}

TEST(ImageReaderTest, P2mFramesCoverAllPfns) {
  const auto with = [](const std::string& body) {
    return ReadChanged([&](Records& r) { r[2].body = body; });
  };
  EXPECT_THAT(with(Le(5, 4) + Le(4, 4)), Malformed("ends before it starts"));
  EXPECT_THAT(with(Le(1, 4) + Le(63, 4) + Le(8, 8)), Unsupported("0x1"));
  EXPECT_THAT(with(Le(0, 4) + Le(512, 4) + Le(8, 8)), Malformed("2 leaves"));
  EXPECT_THAT(with(Le(0, 4) + Le(63, 4) + Le(64, 8)),
              Malformed("pfn 0x40: the pfns end at 0x40"));
  EXPECT_THAT(with(Le(0, 4)), Malformed("it must have 8"));
  EXPECT_THAT(ReadChanged([](Records& r) { r.insert(r.begin() + 2, r[2]); }),
              Unsupported("one record must cover"));
  EXPECT_THAT(ReadChanged([](Records& r) { r.erase(r.begin() + 2); }),
              Malformed("before X86_PV_P2M_FRAMES"));
}

TEST(ImageReaderTest, PageDataIsExact) {
  const auto with = [](const std::string& body) {
    return ReadChanged([&](Records& r) { r[3].body = body; });
  };
  EXPECT_THAT(with(Le(0, 8)), Malformed("names no pfn"));
  EXPECT_THAT(with(Le(4, 8) + PageWord(1, 0)), Malformed("words of 4 pfns"));
  for (const uint64_t type : {5, 6, 7, 8}) {
    EXPECT_THAT(with(Le(1, 8) + PageWord(1, type)),
                Malformed(absl::StrCat("type ", type)));
  }
  EXPECT_THAT(with(Le(1, 8) + PageWord(64, 0xf)), Malformed("pfn 0x40"));
  EXPECT_THAT(with(Le(1, 8) + PageWord(1, 0) + std::string(4095, '\0')),
              Malformed("with 1 pages"));
  EXPECT_THAT(with(Le(1, 8) + PageWord(1, 0xf) + std::string(4096, '\0')),
              Malformed("with 0 pages"));
  EXPECT_THAT(with(Le(uint64_t{1} << 21, 8)), Unsupported("2097152"));
}

TEST(ImageReaderTest, PagesOfAnyKindMayComeAgain) {
  EXPECT_THAT(ReadChanged([](Records& r) {
                r.insert(r.begin() + 4,
                         {RecordType::kPageData,
                          Le(4, 8) + PageWord(20, 0xf) + PageWord(21, 0xe) +
                              PageWord(22, 0xd) + PageWord(kGdt, 0) +
                              std::string(kPageSize, 'x')});
              }),
              IsOk());
}

TEST(ImageReaderTest, PagesAfterVerifyAreNotTaken) {
  NotingSink sink;
  Records records = Sound();
  records.insert(records.begin() + 4, {RecordType::kVerify, ""});
  records.insert(records.begin() + 5, records[3]);
  ASSERT_THAT(ReadAll(Bytes(records), &sink), IsOk());
  EXPECT_EQ(sink.pages_seen, 4);
}

TEST(ImageReaderTest, RecordsOfOtherKinds) {
  const auto with = [](RecordType type, const std::string& body = "") {
    return ReadChanged([&](Records& r) {
      r.insert(r.begin() + 4, {type, body});
    });
  };
  EXPECT_THAT(with(RecordType::kHvmContext), Unsupported("HVM_CONTEXT"));
  EXPECT_THAT(with(RecordType::kHvmParams), Unsupported("HVM_PARAMS"));
  EXPECT_THAT(with(RecordType::kToolstack), Unsupported("TOOLSTACK"));
  EXPECT_THAT(with(RecordType::kCheckpoint), Unsupported("CHECKPOINT"));
  EXPECT_THAT(with(RecordType::kCheckpointDirtyPfnList), Unsupported("DIRTY"));
  EXPECT_THAT(with(static_cast<RecordType>(0x13)), Malformed("0x13"));
  EXPECT_THAT(with(static_cast<RecordType>(0x80000013), "private"), IsOk());
  EXPECT_THAT(with(RecordType::kX86CpuidPolicy, std::string(48, 'x')), IsOk());
  EXPECT_THAT(with(RecordType::kX86CpuidPolicy, "x"), Malformed("of 24"));
  EXPECT_THAT(with(RecordType::kX86MsrPolicy, "x"), Malformed("of 16"));
  EXPECT_THAT(with(RecordType::kVerify, "x"), Malformed("it must have 0"));
  EXPECT_THAT(with(RecordType::kStaticDataEnd, "x"),
              Malformed("it must have 0"));
  EXPECT_THAT(with(RecordType::kSharedInfo, "x"), Malformed("4096"));
  EXPECT_THAT(with(RecordType::kX86TscInfo, "x"), Malformed("24"));
}

TEST(ImageReaderTest, BodyAboveTheCapIsRefusedAtItsHead) {
  std::string image = Bytes({Sound()[0]});
  image += Le(static_cast<uint32_t>(RecordType::kPageData), 4) +
           Le(kMaxRecordBytes + 1, 4);
  EXPECT_THAT(ReadAll(image), Malformed("at most 134217728"));
}

TEST(ImageReaderTest, VirtualCpusAreChecked) {
  const auto with = [](RecordType type, const std::string& body) {
    return ReadChanged([&](Records& r) {
      r.insert(r.begin() + 7, {type, body});
    });
  };
  const std::string context = VcpuContext(Arch::kX86_64);
  EXPECT_THAT(with(RecordType::kX86PvVcpuBasic, VcpuBody(1, context)), IsOk());
  EXPECT_THAT(with(RecordType::kX86PvVcpuBasic, VcpuBody(2, context)),
              Malformed("virtual CPU 2: the domain has 2"));
  EXPECT_THAT(
      with(RecordType::kX86PvVcpuXsave, VcpuBody(2, std::string(16, '\0'))),
      Malformed("virtual CPU 2"));
  EXPECT_THAT(with(RecordType::kX86PvVcpuBasic, VcpuBody(1, context + "x")),
              Malformed("5168"));
  EXPECT_THAT(
      with(RecordType::kX86PvVcpuExtended, VcpuBody(0, std::string(129, '\0'))),
      Malformed("128"));
  EXPECT_THAT(
      with(RecordType::kX86PvVcpuXsave, VcpuBody(0, std::string(15, '\0'))),
      Malformed("16"));
  EXPECT_THAT(
      with(RecordType::kX86PvVcpuMsrs, VcpuBody(0, std::string(15, '\0'))),
      Malformed("multiples of 16"));
  EXPECT_THAT(ReadChanged([](Records& r) { r.erase(r.begin() + 6); }),
              Malformed("virtual CPU 0 has no"));
}

TEST(ImageReaderTest, PagesThatRegistersNameMustBeThere) {
  const GuestLayout& layout = LayoutOf(Arch::kX86_64);
  const auto with = [&](size_t at, uint64_t number) {
    return ReadChanged([&](Records& r) {
      StoreLe(number, 8, &r[6].body[kVcpuHeaderBytes + at]);
    });
  };
  EXPECT_THAT(with(layout.start_info, 30), Malformed("start_info is pfn 0x1e"));
  EXPECT_THAT(with(layout.start_info, kRoot), Malformed("an ordinary page"));
  EXPECT_THAT(with(layout.gdt_frames, 30), Malformed("a GDT page"));
  EXPECT_THAT(with(layout.gdt_entries, 7169), Malformed("7169 GDT entries"));
  EXPECT_THAT(with(layout.cr3, kGdt << 12), Malformed("of level 4"));
  EXPECT_THAT(with(layout.cr1, kGdt << 12 | 1), Malformed("CR1"));
  EXPECT_THAT(with(layout.cr1, kRoot << 12 | 1), IsOk());
  EXPECT_THAT(ReadChanged([](Records& r) {
                r[2].body = Le(0, 4) + Le(63, 4) + Le(40, 8);
              }),
              Malformed("a page of the p2m list is pfn 0x28"));
  EXPECT_THAT(ReadChanged([](Records& r) { r[3].body = FourPages(3); }),
              Malformed("of level 4"));
}

TEST(ImageReaderTest, PageSentAsAbsentIsStillThere) {
  // The restorer keeps the frame, but the page has another type now.
  EXPECT_THAT(ReadChanged([](Records& r) {
                r.insert(r.begin() + 4, {RecordType::kPageData,
                                         Le(1, 8) + PageWord(kGdt, 0xf)});
              }),
              Malformed("a page without content"));
}

TEST(ImageReaderTest, BytesAfterTheEndAreIgnored) {
  EXPECT_THAT(ReadAll(Bytes(Sound()) + "more"), IsOk());
}

TEST(ImageReaderTest, FailureStays) {
  NotingSink sink;
  ImageReader reader(sink);
  EXPECT_THAT(reader.Feed("12345678"), Malformed("byte 0"));
  EXPECT_THAT(reader.Feed(Bytes(Sound())), Malformed("byte 0"));
  EXPECT_THAT(reader.Finish(), Malformed("byte 0"));
}

// An image of `leaves` leaves whose pages do not touch, up to their last byte
// but one.
std::string ManyLeaves(uint64_t leaves) {
  std::string image =
      Bytes({{RecordType::kX86PvInfo, Le(8, 1) + Le(4, 1) + Le(0, 6)},
             {RecordType::kStaticDataEnd, ""}});
  const uint64_t last = leaves * 512 - 1;
  std::string body = Le(0, 4) + Le(last, 4);
  for (uint64_t leaf = 0; leaf < leaves; ++leaf) body += Le(2 * leaf, 8);
  AppendRecord(RecordType::kX86PvP2mFrames, body, image);
  image.pop_back();
  return image;
}

TEST(ImageReaderMemoryTest, LongRecordIsChargedAsItComes) {
  NotingSink sink;
  ByteBudget budget;
  const std::string image = ManyLeaves(100000);
  {
    ImageReader reader(sink, &budget);
    ASSERT_THAT(reader.Feed(image.substr(0, 100)), IsOk());
    EXPECT_LT(budget.used(), 100000u);
    ASSERT_THAT(reader.Feed(image.substr(100)), IsOk());
    EXPECT_GT(budget.used(), 99000 * (sizeof(uint64_t) + 16));
    EXPECT_LT(budget.used(), 100000 * 64);
  }
  EXPECT_EQ(budget.used(), 0u);
}

TEST(ImageReaderMemoryTest, ImageThatTakesMoreThanIsLeftIsRefused) {
  NotingSink sink;
  ByteBudget budget(1 << 20);
  ImageReader reader(sink, &budget);
  EXPECT_THAT(reader.Feed(ManyLeaves(100000)),
              IsError(absl::StatusCode::kResourceExhausted,
                      Reason::kImageMemoryExhausted,
                      HasSubstr("of 1048576; wait until")));
  EXPECT_LE(budget.used(), budget.limit());
}

TEST(ImageReaderMemoryTest, ScatteredBatchIsChargedBeforeItsTypesAre) {
  std::string body = Le(20000, 8);
  for (uint64_t i = 0; i < 20000; ++i) body += PageWord(2 * i, 0xe);
  std::string image = ManyLeaves(100);
  image.push_back('\0');
  AppendRecord(RecordType::kPageData, body, image);
  NotingSink sink;
  ByteBudget budget(1 << 20);
  ImageReader reader(sink, &budget);
  EXPECT_THAT(reader.Feed(image),
              IsError(absl::StatusCode::kResourceExhausted,
                      Reason::kImageMemoryExhausted, HasSubstr("image")));
}

TEST(ImageReaderTest, EndedCallStopsLongWork) {
  const std::string image = ManyLeaves(100000);
  NotingSink sink;
  ImageReader reader(sink);
  uint64_t asked = 0;
  const auto stop = [&asked] {
    return ++asked < 20 ? absl::OkStatus() : absl::CancelledError("gone");
  };
  EXPECT_EQ(reader.Feed(image, stop), absl::CancelledError("gone"));
  EXPECT_EQ(reader.Feed(""), absl::CancelledError("gone"));
}

TEST(ImageReaderTest, XlHeadersAreChecked) {
  std::string image;
  AppendImageStart(ImageLayer::kXl, "{}", image);
  const auto with = [&](size_t at, char value) {
    std::string changed = image;
    changed[at] = value;
    return ReadAll(changed);
  };
  EXPECT_THAT(with(20, 'x'), Malformed("xl save file"));
  EXPECT_THAT(with(32, 1), Unsupported("byte order"));
  EXPECT_THAT(with(36, 7), Malformed("0x7"));
  EXPECT_THAT(with(36, 1), Unsupported("0x1"));
  EXPECT_THAT(with(47, 1), Malformed("optional data"));
  EXPECT_THAT(with(48, 100), Malformed("100 bytes, and 3 follow"));
  const size_t libxl = kXlHeaderBytes + 4 + 3;
  EXPECT_THAT(with(libxl, 'x'), Malformed("libxl stream begins"));
  EXPECT_THAT(with(libxl + 11, 3), Malformed("version 3"));
  EXPECT_THAT(with(libxl + 15, 1), Unsupported("byte order"));
  EXPECT_THAT(with(libxl + 16, 0), Malformed("libxl record 0"));
  EXPECT_THAT(with(libxl + 16, 2), Unsupported("libxl record 2"));
  EXPECT_THAT(with(libxl + 16, 9), Malformed("0x9 is not known"));
  EXPECT_THAT(with(libxl + 20, 8), Malformed("must be empty"));
}

}  // namespace
}  // namespace simvisor
