#include "domain/cpus/cpu_mask_table.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace simvisor {
namespace {

// Every window holds the bit of its CPU and nothing else, and lies within the
// table.
template <typename Word>
void CheckEveryMask(uint32_t cpus) {
  SCOPED_TRACE(cpus);
  const CpuMaskTable<Word> table(cpus);
  const Word* const begin = table.Empty().data();
  const Word* const end = begin + table.Size().table_bytes / sizeof(Word);
  for (const Word word : table.Empty()) ASSERT_EQ(word, 0u);
  for (uint32_t cpu = 0; cpu < cpus; ++cpu) {
    const absl::Span<const Word> mask = table.Mask(cpu);
    ASSERT_EQ(mask.size() * sizeof(Word), table.Size().row_bytes);
    ASSERT_GE(mask.data(), begin);
    ASSERT_LE(mask.data() + mask.size(), end);
    for (uint32_t other = 0; other < mask.size() * table.kWordBits; ++other) {
      const Word bit =
          (mask[other / table.kWordBits] >> (other % table.kWordBits)) & 1;
      ASSERT_EQ(bit, other == cpu ? 1u : 0u) << cpu << " " << other;
    }
  }
}

TEST(CpuMaskTableTest, EveryMaskHasOnlyItsCpu) {
  for (const uint32_t cpus : {1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 1000}) {
    CheckEveryMask<uint64_t>(cpus);
    CheckEveryMask<uint32_t>(cpus);
  }
  CheckEveryMask<uint8_t>(300);
}

TEST(CpuMaskTableTest, TableOf4096CpusTakes33280Bytes) {
  const CpuMaskTableSize size = CpuMaskTable<uint64_t>(4096).Size();
  EXPECT_EQ(size.cpus, 4096u);
  EXPECT_EQ(size.rows, 65u);
  EXPECT_EQ(size.row_bytes, 512u);
  EXPECT_EQ(size.table_bytes, 33280u);
  EXPECT_EQ(size.naive_bytes, 2097152u);
}

TEST(CpuMaskTableTest, WindowReachesBackIntoTheRowAbove) {
  const CpuMaskTable<uint64_t> table(4096);
  EXPECT_EQ(table.WindowStart(0), 64u);
  EXPECT_EQ(table.WindowStart(64), 63u);
  EXPECT_EQ(table.BitWord(64), 64u);
  EXPECT_EQ(table.WindowStart(4095), 4033u);
  EXPECT_EQ(table.BitWord(4095), 4096u);
}

}  // namespace
}  // namespace simvisor
