#include "domain/units/pci_address.h"

#include "gtest/gtest.h"

namespace simvisor {
namespace {

TEST(PciAddressTest, ShownInFull) {
  EXPECT_EQ(PciAddress::Parse("01:00.0")->ToString(), "0000:01:00.0");
  EXPECT_EQ(PciAddress::Parse("ABCD:fF:1f.7")->ToString(), "abcd:ff:1f.7");
  EXPECT_EQ(PciAddress::Parse("0001:02:03.*")->ToString(), "0001:02:03.*");
}

TEST(PciAddressTest, OtherTextIsNone) {
  for (const char* text :
       {"", "1:0.0", "01:00", "01:20.0", "01:00.8", "0000:01:00.0.0",
        "00000:01:00.0", "01:00.0x", "01:00.00", "0g:00.0", "*:00.0",
        "01:00.0,permissive=1", ":01:00.0"}) {
    EXPECT_FALSE(PciAddress::Parse(text).has_value()) << text;
  }
}

TEST(PciAddressTest, DevicesOverlapInAFunction) {
  const PciAddress one = *PciAddress::Parse("01:00.1");
  EXPECT_TRUE(one.Overlaps(*PciAddress::Parse("0000:01:00.1")));
  EXPECT_TRUE(one.Overlaps(*PciAddress::Parse("01:00.*")));
  EXPECT_TRUE(PciAddress::Parse("01:00.*")->Overlaps(one));
  EXPECT_FALSE(one.Overlaps(*PciAddress::Parse("01:00.2")));
  EXPECT_FALSE(one.Overlaps(*PciAddress::Parse("01:01.1")));
  EXPECT_FALSE(one.Overlaps(*PciAddress::Parse("02:00.1")));
  EXPECT_FALSE(one.Overlaps(*PciAddress::Parse("0001:01:00.1")));
}

}  // namespace
}  // namespace simvisor
