#include "domain/units/state_codec.h"

#include <cstdint>
#include <limits>
#include <string>

#include "gtest/gtest.h"

namespace simvisor {
namespace {

constexpr uint64_t kLargest = std::numeric_limits<uint64_t>::max();

TEST(StateCodecTest, NumbersComeBack) {
  const uint64_t numbers[] = {0,     1,     127,        128,
                              16383, 16384, 1ull << 63, kLargest};
  StateWriter writer;
  for (const uint64_t number : numbers) writer.Put(number);
  writer.PutBytes("abc");
  writer.Put(PfnExtent{Pfn(5), PageCount(3)});
  StateReader reader(writer.bytes());
  for (const uint64_t number : numbers) EXPECT_EQ(reader.Get(), number);
  EXPECT_EQ(reader.GetBytes(), "abc");
  EXPECT_EQ(reader.GetPfns(Pfn(8)), (PfnExtent{Pfn(5), PageCount(3)}));
  EXPECT_TRUE(reader.done());
}

TEST(StateCodecTest, SmallNumbersTakeOneByte) {
  StateWriter writer;
  writer.Put(127);
  EXPECT_EQ(writer.bytes().size(), 1u);
  writer.Put(128);
  EXPECT_EQ(writer.bytes().size(), 3u);
}

TEST(StateCodecTest, NumberAboveItsBoundFails) {
  StateWriter writer;
  writer.Put(9);
  EXPECT_EQ(StateReader(writer.bytes()).Get(9), 9u);
  StateReader reader(writer.bytes());
  EXPECT_EQ(reader.Get(8), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_FALSE(reader.done());
}

TEST(StateCodecTest, BytesThatEndEarlyFail) {
  StateReader empty("");
  EXPECT_EQ(empty.Get(), 0u);
  EXPECT_FALSE(empty.ok());
  StateReader cut("\x80");
  EXPECT_EQ(cut.Get(), 0u);
  EXPECT_FALSE(cut.ok());
  StateReader bytes(
      "\x05"
      "ab");
  EXPECT_EQ(bytes.GetBytes(), "");
  EXPECT_FALSE(bytes.ok());
}

TEST(StateCodecTest, NumberOfMoreThan64BitsFails) {
  const std::string wide(9, '\xff');
  const std::string largest = wide + '\x01';
  const std::string larger = wide + '\x02';
  EXPECT_EQ(StateReader(largest).Get(), kLargest);
  StateReader reader(larger);
  EXPECT_EQ(reader.Get(), 0u);
  EXPECT_FALSE(reader.ok());
}

TEST(StateCodecTest, ExtentsMustLieBelowTheEnd) {
  for (const PfnExtent pfns :
       {PfnExtent{Pfn(5), PageCount(4)}, PfnExtent{Pfn(9), PageCount(1)},
        PfnExtent{Pfn(5), PageCount(0)},
        PfnExtent{Pfn(5), PageCount(kLargest)}}) {
    StateWriter writer;
    writer.Put(pfns);
    StateReader reader(writer.bytes());
    EXPECT_TRUE(reader.GetPfns(Pfn(8)).empty());
    EXPECT_FALSE(reader.ok());
  }
}

TEST(StateCodecTest, CountsAreBoundedByWhatIsLeft) {
  StateWriter writer;
  writer.Put(1000);
  writer.Put(1);
  StateReader reader(writer.bytes());
  EXPECT_EQ(reader.GetCount(), 0u);
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace simvisor
