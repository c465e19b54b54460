#include <cstdint>
#include <vector>

#include "domain/e820/e820.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/e820_testing.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using testing::ElementsAre;

TEST(GuestE820Test, PassthroughGuestOf8GiBMovesTheRamUnderTheHole) {
  const auto guest =
      GuestE820FromHost(*DefaultHostE820(GiBs(16)), GiBs(8), GiBs(8));
  ASSERT_THAT(guest, IsOk());
  EXPECT_THAT(guest->entries(),
              ElementsAre(Ram(0, 3 * kGiB), Reserved(3 * kGiB, 4 * kGiB),
                          Ram(4 * kGiB, 9 * kGiB)));
  EXPECT_EQ(guest->EndPage(), Pfn(2359296));
}

TEST(GuestE820Test, GapUpToTheFirmwareIsUnusable) {
  const auto guest =
      GuestE820FromHost(*DefaultHostE820(GiBs(16)), GiBs(1), GiBs(1));
  ASSERT_THAT(guest, IsOk());
  EXPECT_THAT(guest->entries(),
              ElementsAre(Ram(0, kGiB), Unusable(kGiB, 3 * kGiB),
                          Reserved(3 * kGiB, 4 * kGiB)));
}

TEST(GuestE820Test, RoomToBalloonBeginsAt4GiB) {
  const auto guest =
      GuestE820FromHost(*DefaultHostE820(GiBs(16)), GiBs(1), GiBs(2));
  ASSERT_THAT(guest, IsOk());
  EXPECT_EQ(guest->entries().back(), Ram(4 * kGiB, 5 * kGiB));
}

TEST(GuestE820Test, FirmwareFar4GiBAboveMovesNoRam) {
  const E820Map host =
      MakeMap({Ram(0, 3 * kGiB), Reserved(3 * kGiB, 4 * kGiB),
               Ram(4 * kGiB, 64 * kGiB), Reserved(1012 * kGiB, 1024 * kGiB)});
  const auto guest = GuestE820FromHost(host, GiBs(4), GiBs(6));
  ASSERT_THAT(guest, IsOk());
  EXPECT_THAT(
      guest->entries(),
      ElementsAre(Ram(0, 3 * kGiB), Reserved(3 * kGiB, 4 * kGiB),
                  Ram(4 * kGiB, 7 * kGiB), Reserved(1012 * kGiB, 1024 * kGiB)));
}

TEST(GuestE820Test, FirmwareInTheRamFrom4GiBOnTakesItsAddresses) {
  const E820Map host = MakeMap(
      {Ram(0, 3 * kGiB), Reserved(3 * kGiB, 4 * kGiB), Ram(4 * kGiB, 5 * kGiB),
       Reserved(5 * kGiB, 6 * kGiB), Ram(6 * kGiB, 16 * kGiB)});
  const auto guest = GuestE820FromHost(host, GiBs(7), GiBs(7));
  ASSERT_THAT(guest, IsOk());
  EXPECT_THAT(guest->entries(),
              ElementsAre(Ram(0, 3 * kGiB), Reserved(3 * kGiB, 4 * kGiB),
                          Ram(4 * kGiB, 5 * kGiB), Reserved(5 * kGiB, 6 * kGiB),
                          Ram(6 * kGiB, 8 * kGiB)));
}

TEST(GuestE820Test, FillerUpToFirmwareAbove4GiBCoversTheRoom) {
  const auto guest = GuestE820FromHost(
      MakeMap({Ram(0, 4 * kGiB), Reserved(5 * kGiB, 6 * kGiB)}), GiBs(1),
      GiBs(4));
  ASSERT_THAT(guest, IsOk());
  // [4 GiB, 7 GiB) is RAM in libxl's list, and the highest type counts.
  EXPECT_THAT(
      guest->entries(),
      ElementsAre(Ram(0, kGiB), Unusable(kGiB, 5 * kGiB),
                  Reserved(5 * kGiB, 6 * kGiB), Ram(6 * kGiB, 7 * kGiB)));
}

TEST(GuestE820Test, CutInsideAKibibyteIsRoundedDown) {
  constexpr uint64_t kFirmware = kGiB + 0x600;
  const E820Map host =
      MakeMap({Ram(0, kFirmware), Reserved(kFirmware, kGiB + 0x1000),
               Ram(4 * kGiB, 8 * kGiB)});
  const auto guest = GuestE820FromHost(host, GiBs(2), GiBs(2));
  ASSERT_THAT(guest, IsOk());
  EXPECT_THAT(guest->entries(), ElementsAre(Ram(0, kGiB + 0x400),
                                            Unusable(kGiB + 0x400, kFirmware),
                                            Reserved(kFirmware, kGiB + 0x1000),
                                            Ram(4 * kGiB, 5 * kGiB - 0x400)));
}

TEST(GuestE820Test, MaximumBelowMemoryAddsNothing) {
  const E820Map host = *DefaultHostE820(GiBs(16));
  EXPECT_EQ(*GuestE820FromHost(host, GiBs(2), GiBs(1)),
            *GuestE820FromHost(host, GiBs(2), GiBs(2)));
}

TEST(GuestE820Test, HostRamBelow4GiBAndAboveTheCutIsUnusable) {
  const E820Map host =
      MakeMap({Ram(0, kMiB), Ram(kMiB, kGiB), Reserved(kGiB, 2 * kGiB),
               Ram(2 * kGiB, 3 * kGiB), Reserved(3 * kGiB, 4 * kGiB),
               Ram(4 * kGiB, 8 * kGiB)});
  const auto guest = GuestE820FromHost(host, GiBs(1), GiBs(1));
  ASSERT_THAT(guest, IsOk());
  EXPECT_THAT(
      guest->entries(),
      ElementsAre(Ram(0, kGiB), Reserved(kGiB, 2 * kGiB),
                  Unusable(2 * kGiB, 3 * kGiB), Reserved(3 * kGiB, 4 * kGiB)));
}

TEST(GuestE820Test, UnusableFromTheCutReachesTheFirmware) {
  // Host RAM that the cut splits, a gap after it, and more RAM in the gap.
  const E820Map host = MakeMap({Ram(0, kMiB), Ram(2 * kMiB, 2 * kGiB),
                                Ram(2 * kGiB + kMiB, 2 * kGiB + 2 * kMiB),
                                Reserved(3 * kGiB, 4 * kGiB)});
  const auto guest = GuestE820FromHost(host, GiBs(1), GiBs(1));
  ASSERT_THAT(guest, IsOk());
  EXPECT_THAT(guest->entries(),
              ElementsAre(Ram(0, kGiB), Unusable(kGiB, 3 * kGiB),
                          Reserved(3 * kGiB, 4 * kGiB)));
}

TEST(GuestE820Test, EntriesFrom1MiBDownAndUnusableOnesAreIgnored) {
  const E820Map host =
      MakeMap({Ram(0, 0x9f000), Reserved(0x9f000, kMiB),
               Reserved(kMiB, 2 * kMiB), Unusable(3 * kMiB, 4 * kMiB),
               Ram(4 * kMiB, kGiB), Reserved(3 * kGiB, 4 * kGiB)});
  const auto guest = GuestE820FromHost(host, GiBs(3), GiBs(3));
  ASSERT_THAT(guest, IsOk());
  EXPECT_THAT(guest->entries(),
              ElementsAre(Ram(0, 3 * kGiB), Reserved(3 * kGiB, 4 * kGiB)));
}

TEST(GuestE820Test, HostWithoutFirmwareLeavesNoRoom) {
  const E820Map host = MakeMap({Ram(0, kMiB), Ram(2 * kMiB, 16 * kGiB)});
  for (const uint64_t memory : {2, 8}) {
    const auto guest = GuestE820FromHost(host, GiBs(memory), GiBs(10));
    ASSERT_THAT(guest, IsOk());
    EXPECT_THAT(guest->entries(),
                ElementsAre(Ram(0, memory * kGiB),
                            Unusable(memory * kGiB, kMaxE820Address)));
  }
}

TEST(GuestE820Test, HostRamAcross4GiBIsUnusableToItsEnd) {
  const E820Map host = MakeMap(
      {Ram(0, kGiB), Reserved(kGiB, 2 * kGiB), Ram(2 * kGiB, 16 * kGiB)});
  const auto guest = GuestE820FromHost(host, GiBs(2), GiBs(2));
  ASSERT_THAT(guest, IsOk());
  EXPECT_THAT(guest->entries(),
              ElementsAre(Ram(0, kGiB), Reserved(kGiB, 2 * kGiB),
                          Unusable(2 * kGiB, 16 * kGiB)));
}

TEST(GuestE820Test, RealHostCutsAGuestAt512MiB) {
  const auto guest = GuestE820FromHost(RealMap(), GiBs(1), GiBs(1));
  ASSERT_THAT(guest, IsOk());
  EXPECT_EQ(guest->entries()[0], Ram(0, 0x20000000));
  EXPECT_EQ(guest->entries()[1], Reserved(0x20000000, 0x20200000));
  EXPECT_EQ(guest->entries()[2], Unusable(0x20200000, 0x40000000));
  EXPECT_EQ(guest->entries().back(), Ram(4 * kGiB, 4 * kGiB + 0x20000000));
}

TEST(GuestE820Test, MemoryThatNoAddressReachesIsRefused) {
  const E820Map host = *DefaultHostE820(GiBs(16));
  const PageCount all(kMaxE820Address / kPageSize);
  for (PageCount huge : {all + PageCount(1), PageCount(uint64_t{1} << 52),
                         PageCount(~uint64_t{0})}) {
    EXPECT_THAT(GuestE820FromHost(host, huge, huge), IsMalformed("end above"));
    EXPECT_THAT(GuestE820FromHost(host, GiBs(1), huge),
                IsMalformed("end above"));
  }
  // It would fit if the firmware did not cut off a part.
  EXPECT_THAT(GuestE820FromHost(host, all, all), IsMalformed("end above"));
  EXPECT_THAT(GuestE820FromHost(host, PageCount(0), PageCount(0)),
              IsMalformed("is empty"));
}

TEST(GuestE820Test, MapThatGrowsPast128EntriesIsRefused) {
  std::vector<E820Entry> entries;
  for (uint64_t i = 0; i < 63; ++i) {
    entries.push_back(Reserved((4 * i + 8) * kMiB, (4 * i + 9) * kMiB));
    entries.push_back(Ram((4 * i + 9) * kMiB, (4 * i + 10) * kMiB));
  }
  entries.push_back(Ram(0, kMiB));
  entries.push_back(Reserved(kGiB, 2 * kGiB));
  const E820Map host = MakeMap(entries);
  EXPECT_THAT(GuestE820FromHost(host, GiBs(2), GiBs(2)),
              IsMalformed("129 entries"));
}

}  // namespace
}  // namespace simvisor
