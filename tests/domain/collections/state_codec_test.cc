#include "domain/collections/state_codec.h"

#include <cstdint>
#include <limits>
#include <string>

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

constexpr uint64_t kLargest = std::numeric_limits<uint64_t>::max();

auto IsMalformed(const std::string& what) {
  return IsError(absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
                 HasSubstr(what));
}

TEST(StateCodecTest, NumbersComeBack) {
  const uint64_t numbers[] = {0,     1,     127,        128,
                              16383, 16384, 1ull << 63, kLargest};
  StateWriter writer;
  for (const uint64_t number : numbers) writer.Put(number);
  writer.Put(PfnExtent{Pfn(5), PageCount(3)});
  PfnSet set;
  set.Add({Pfn(1), PageCount(2)});
  set.Add({Pfn(700), PageCount(9)});
  writer.Put(set);
  StateReader reader(writer.bytes());
  for (const uint64_t number : numbers) EXPECT_EQ(reader.Get("n"), number);
  EXPECT_EQ(reader.GetPfns("e", Pfn(8)), (PfnExtent{Pfn(5), PageCount(3)}));
  EXPECT_EQ(reader.GetSet("s", Pfn(709)).extents(), set.extents());
  EXPECT_TRUE(reader.done());
}

TEST(StateCodecTest, SmallNumbersTakeOneByte) {
  StateWriter writer;
  writer.Put(127);
  EXPECT_EQ(writer.bytes().size(), 1u);
  writer.Put(128);
  EXPECT_EQ(writer.bytes().size(), 3u);
}

TEST(StateCodecTest, NumberOutsideItsBoundsFailsWithFieldOffsetValueAndLimit) {
  StateWriter writer;
  writer.Put(300);
  writer.Put(9);
  StateReader within(writer.bytes());
  EXPECT_EQ(within.Get("first"), 300u);
  EXPECT_EQ(within.Get("second", 9, 9), 9u);
  EXPECT_TRUE(within.done());
  StateReader above(writer.bytes());
  above.Get("first");
  EXPECT_EQ(above.Get("second", 8), 0u);
  EXPECT_FALSE(above.ok());
  EXPECT_FALSE(above.done());
  EXPECT_THAT(above.status(),
              IsMalformed("of 3 bytes: second, at byte 2: 9 (0x9); it must be "
                          "0 to 8 (0x8)"));
  EXPECT_THAT(FactsOf(above.status()),
              UnorderedElementsAre(Pair("field", "second"), Pair("offset", "2"),
                                   Pair("value", "9"), Pair("limit", "8")));
  StateReader below(writer.bytes());
  below.Get("first", 301, 400);
  EXPECT_THAT(below.status(), IsMalformed("first, at byte 0: 300"));
}

TEST(StateCodecTest, FirstFailureStays) {
  StateWriter writer;
  writer.Put(1);
  writer.Put(2);
  StateReader reader(writer.bytes());
  reader.Get("first");
  reader.Fail("1, beside 2");
  EXPECT_EQ(reader.Get("second"), 0u);
  reader.Fail("2, beside 1");
  EXPECT_THAT(reader.status(), IsMalformed("first, at byte 0: 1, beside 2"));
}

TEST(StateCodecTest, BytesThatEndEarlyFail) {
  StateReader empty("");
  EXPECT_EQ(empty.Get("n"), 0u);
  EXPECT_THAT(empty.status(), IsMalformed("n, at byte 0: the notes end"));
  StateReader cut("\x80");
  EXPECT_EQ(cut.Get("n"), 0u);
  EXPECT_THAT(cut.status(), IsMalformed("the notes end"));
}

TEST(StateCodecTest, NumberOfMoreThan64BitsFails) {
  const std::string wide(9, '\xff');
  const std::string largest = wide + '\x01';
  const std::string larger = wide + '\x02';
  EXPECT_EQ(StateReader(largest).Get("n"), kLargest);
  StateReader reader(larger);
  EXPECT_EQ(reader.Get("n"), 0u);
  EXPECT_THAT(reader.status(), IsMalformed("more than 64 bits"));
}

TEST(StateCodecTest, ExtentsMustLieWithinTheirBounds) {
  for (const PfnExtent pfns :
       {PfnExtent{Pfn(5), PageCount(4)}, PfnExtent{Pfn(9), PageCount(1)},
        PfnExtent{Pfn(5), PageCount(0)}, PfnExtent{Pfn(1), PageCount(3)},
        PfnExtent{Pfn(5), PageCount(kLargest)}}) {
    StateWriter writer;
    writer.Put(pfns);
    StateReader reader(writer.bytes());
    EXPECT_TRUE(reader.GetPfns("e", Pfn(2), Pfn(8)).empty());
    EXPECT_THAT(reader.status(), IsMalformed("e, at byte 0"));
  }
}

TEST(StateCodecTest, SetsMustAscendWithoutTouching) {
  for (const uint64_t second : {3, 4, 5}) {
    StateWriter writer;
    writer.Put(2);
    writer.Put(PfnExtent{Pfn(4), PageCount(1)});
    writer.Put(PfnExtent{Pfn(second), PageCount(1)});
    StateReader reader(writer.bytes());
    reader.GetSet("s", Pfn(8));
    EXPECT_THAT(reader.status(), IsMalformed("s, at byte 3"));
  }
}

TEST(StateCodecTest, CountsAreBoundedByTheRemainingBytes) {
  StateWriter writer;
  writer.Put(2);
  writer.Put(1);
  writer.Put(1);
  writer.Put(1);
  EXPECT_EQ(StateReader(writer.bytes()).GetCount("c", 1), 2u);
  StateReader reader(writer.bytes());
  EXPECT_EQ(reader.GetCount("c", 2), 0u);
  EXPECT_THAT(reader.status(),
              IsMalformed("c, at byte 0: 2 items; the 3 bytes that follow"));
}

TEST(StateCodecTest, BytesThatAreSkippedNeedNotBeNumbers) {
  StateWriter number;
  number.Put(300);
  StateWriter writer;
  writer.Append(number);
  writer.Append(number);
  const std::string bytes = writer.bytes() + "\xff\xff\x07";
  StateReader reader(bytes);
  EXPECT_EQ(reader.Get("n"), 300u);
  EXPECT_EQ(reader.left(), 5u);
  EXPECT_EQ(reader.Get("n"), 300u);
  reader.Skip(2);
  EXPECT_EQ(reader.Get("last"), 7u);
  EXPECT_EQ(reader.last().at, 6u);
  EXPECT_TRUE(reader.done());
}

TEST(StateCodecTest, LongReadingIsStoppedFromOutside) {
  StateWriter writer;
  for (uint64_t i = 0; i < 4 * StateReader::kNumbersPerStop; ++i) writer.Put(i);
  uint64_t asked = 0;
  const auto stop = [&asked] {
    return ++asked < 2 ? absl::OkStatus() : absl::CancelledError("gone");
  };
  StateReader reader(writer.bytes(), stop);
  uint64_t read = 0;
  while (reader.ok()) {
    reader.Get("n");
    ++read;
  }
  EXPECT_EQ(read, 2 * StateReader::kNumbersPerStop);
  EXPECT_EQ(reader.status(), absl::CancelledError("gone"));
}

}  // namespace
}  // namespace simvisor
