// What the pages of address spaces hold.

#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/processes/address_spaces_testing.h"

namespace simvisor {
namespace {

using AddressSpacePagesTest = AddressSpacesTest;

TEST_F(AddressSpacePagesTest, TablesNameTheirPmdsAndPmdsTheArea) {
  Make(/*shared=*/false, /*user_pgds=*/2);
  const uint64_t id = Create(1);
  Split(kSplitPfn);
  const AddressSpaceInfo space = All()[0];
  EXPECT_EQ(space.id, id);
  for (uint64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(Entry(space.pgd, i), (space.pmds[i].value() << 12) | 1);
  }
  EXPECT_EQ(Entry(space.pgd, 4), 0u);
  for (uint64_t i = 0; i < 2 * kMids; ++i) {
    const uint64_t page = list_->PtePageAt(i).value();
    EXPECT_EQ(Entry(space.pmds[3], i), ((kMfnBase + page) << 12) | 0x63);
    EXPECT_EQ(Entry(space.pmds[2], i), 0u);
    EXPECT_EQ(Entry(space.pmds[0], i), 0u);
  }
  EXPECT_EQ(Entry(space.pmds[3], 2 * kMids), 0u);
}

TEST_F(AddressSpacePagesTest, SlabPageKeepsTheRemainingTables) {
  Make(/*shared=*/true);
  Create(3);
  ASSERT_THAT(Destroy({2}), IsOk());
  const auto all = All();
  for (uint64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(Entry(all[0].pgd, i), (all[0].pmds[i].value() << 12) | 1);
    EXPECT_EQ(Entry(all[0].pgd, 4 + i), 0u);
    EXPECT_EQ(Entry(all[0].pgd, 8 + i), (all[1].pmds[i].value() << 12) | 1);
  }
  EXPECT_EQ(Entry(all[0].pgd, 3), 0u) << "the kernel's pmd has no frame";
  // The second table's place is filled next.
  EXPECT_EQ(Create(1), 4u);
  EXPECT_EQ(All()[2].pgd_offset, 32u);
}

}  // namespace
}  // namespace simvisor
