// The sections that follow a guest in the notes of its kernel.

#include "domain/guest/notes_sections.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "domain/collections/state_codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Pair;

constexpr uint64_t kAll = std::numeric_limits<uint64_t>::max();

std::string Bytes(const std::vector<uint64_t>& numbers) {
  StateWriter out;
  for (const uint64_t number : numbers) out.Put(number);
  return out.bytes();
}

// The epoch that the bytes say; fails the test if they are refused.
uint64_t EpochIn(const std::string& bytes) {
  StateReader in(bytes);
  const NotesSections sections = DecodeSections(in);
  EXPECT_THAT(in.status(), IsOk());
  return sections.mapping_epoch;
}

// Expects that the bytes are refused because of a field at a byte.
void ExpectRefused(const std::string& bytes, const std::string& field,
                   uint64_t offset, const std::string& why) {
  StateReader in(bytes);
  DecodeSections(in);
  EXPECT_THAT(
      in.status(),
      IsError(absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
              AllOf(HasSubstr(
                        absl::StrCat(": ", field, ", at byte ", offset, ": ")),
                    HasSubstr(why))));
  EXPECT_THAT(
      FactsOf(in.status()),
      testing::IsSupersetOf({Pair(fact::kField, field),
                             Pair(fact::kOffset, absl::StrCat(offset))}));
}

TEST(NotesSectionsTest, EpochComesBack) {
  for (const uint64_t epoch : {uint64_t{1}, uint64_t{300}, kAll}) {
    StateWriter out;
    EncodeSections({.mapping_epoch = epoch}, out);
    EXPECT_EQ(EpochIn(out.bytes()), epoch);
  }
}

TEST(NotesSectionsTest, NotesWithoutAnEpochAreOfTheFirst) {
  EXPECT_EQ(EpochIn(Bytes({0})), 1u);
  EXPECT_EQ(EpochIn(Bytes({1, 4, 0})), 1u);
}

TEST(NotesSectionsTest, UnknownSectionsWithEvenTagsAreSkipped) {
  EXPECT_EQ(EpochIn(Bytes({3, 2, 1, 9, 4, 0, 1000, 3, 7, 7, 7})), 9u);
  // Their content need not be numbers.
  EXPECT_EQ(EpochIn(Bytes({1, 6, 4}) + "\xff\xff\xff\xff"), 1u);
  const std::string largest = Bytes({1, kAll - 1, 1, 5});
  EXPECT_EQ(EpochIn(largest), 1u);
}

TEST(NotesSectionsTest, UnknownSectionsWithOddTagsAreRefused) {
  ExpectRefused(Bytes({1, 1, 0}), "section.tag", 1, "1; this version");
  ExpectRefused(Bytes({2, 2, 1, 9, 3, 1, 0}), "section.tag", 4, "3; ");
  ExpectRefused(Bytes({1, kAll, 0}), "section.tag", 1, "odd tags");
}

TEST(NotesSectionsTest, TagsThatDoNotAscendAreRefused) {
  ExpectRefused(Bytes({2, 2, 1, 9, 2, 1, 9}), "section.tag", 4,
                "2 (0x2); it must be 3 to");
  ExpectRefused(Bytes({2, 6, 1, 9, 4, 1, 9}), "section.tag", 4,
                "4 (0x4); it must be 7 to");
  ExpectRefused(Bytes({1, 0, 0}), "section.tag", 1, "it must be 1 to");
}

TEST(NotesSectionsTest, MoreSectionsThanTheLimitAreRefused) {
  std::vector<uint64_t> most = {64};
  for (uint64_t i = 0; i < 64; ++i) most.insert(most.end(), {4 + 2 * i, 0});
  EXPECT_EQ(EpochIn(Bytes(most)), 1u);
  most[0] = 65;
  most.insert(most.end(), {1000, 0});
  ExpectRefused(Bytes(most), "sections", 0, "65 (0x41); it must be 0 to 64");
  ExpectRefused(Bytes({kAll}), "sections", 0, "it must be 0 to 64");
}

TEST(NotesSectionsTest, LengthsPastTheEndAreRefused) {
  ExpectRefused(Bytes({1, 2, 2, 9}), "section.length", 2, "2 bytes; 1 follow");
  ExpectRefused(Bytes({1, 4, 4, 9, 9, 9}), "section.length", 2,
                "4 bytes; 3 follow");
  ExpectRefused(Bytes({1, 4, kAll, 9}), "section.length", 2, "bytes; 1 follow");
}

TEST(NotesSectionsTest, FieldsThatDoNotFillTheirSectionAreRefused) {
  ExpectRefused(Bytes({1, 2, 2, 9, 9}), "section.epoch", 3,
                "does not fill the 2 bytes of section 2");
  // The number reaches into what follows.
  ExpectRefused(Bytes({2, 2, 1, 300, 4, 0}), "section.epoch", 3,
                "the 1 bytes of section 2, or goes on");
  ExpectRefused(Bytes({2, 2, 0, 4, 0}), "section.epoch", 3, "the 0 bytes");
}

TEST(NotesSectionsTest, ThereIsNoEpochZero) {
  ExpectRefused(Bytes({1, 2, 1, 0}), "section.epoch", 3, "it must be 1 to");
}

TEST(NotesSectionsTest, BytesAfterTheLastSectionAreRefused) {
  ExpectRefused(Bytes({0, 7}), "sections", 0, "more bytes follow");
  ExpectRefused(Bytes({1, 2, 1, 9, 7}), "section.epoch", 3,
                "more bytes follow");
}

TEST(NotesSectionsTest, SectionsThatAreCutShortAreRefused) {
  const std::string whole = Bytes({2, 2, 1, 9, 4, 1, 5});
  EXPECT_EQ(EpochIn(whole), 9u);
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::string cut = whole.substr(0, size);
    StateReader in(cut);
    DecodeSections(in);
    EXPECT_THAT(in.status(),
                IsError(absl::StatusCode::kInvalidArgument,
                        Reason::kImageMalformed, HasSubstr(", at byte ")))
        << size;
  }
}

}  // namespace
}  // namespace simvisor
