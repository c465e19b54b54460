// PCI_SPEC_STRING of xl-pci-configuration(5), and text that it does not allow.

#include "client/xl/pci_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace simvisor::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(PciSpecTest, DeviceOfEveryForm) {
  const std::pair<const char*, const char*> kSpecs[] = {
      {"01:00.0", "0000:01:00.0"},
      {"0000:0A:1f.7", "0000:0a:1f.7"},
      {"1:2.3", "0000:01:02.3"},
      {"abcd:ff:1F.1", "abcd:ff:1f.1"},
      {"36:00.0@20,seize=1", "0000:36:00.0"},
      {"36:00.0@14,seize=1", "0000:36:00.0"},
      {"36:00.0,vslot=14,seize=1", "0000:36:00.0"},
      {"bdf=36:00.0,vslot=14,seize=1", "0000:36:00.0"},
      {"seize=1,bdf=0001:36:00.0", "0001:36:00.0"},
      {"36:00.*", "0000:36:00.*"},
      {"36:00.*@8", "0000:36:00.*"},
      {"bdf=36:00.*", "0000:36:00.*"},
      {"01:00.0,msitranslate=1,power_mgmt=0,permissive=yes", "0000:01:00.0"},
      {"01:00.0,rdm_policy=relaxed", "0000:01:00.0"},
      {"01:00.0,rdm_policy=,vslot=,permissive=", "0000:01:00.0"},
      {"01:00.0,", "0000:01:00.0"},
      {"01:00.0@,seize=1", "0000:01:00.0"},
      {"01:00.0@0x8", "0000:01:00.0"},
      {"01:00.0,vslot=0X1f", "0000:01:00.0"},
      {" 01:00.0 , permissive=1 ", "0000:01:00.0"},
  };
  for (const auto& [text, device] : kSpecs) {
    const auto parsed = ParsePciSpec(text);
    ASSERT_TRUE(parsed.ok()) << text << ": " << parsed.status();
    EXPECT_EQ(*parsed, device) << text;
  }
}

TEST(PciSpecTest, TextThatXlRefusesIsRefusedInXlsWords) {
  const std::pair<const char*, const char*> kSpecs[] = {
      {"", "names no device"},
      {"permissive=1", "names no device"},
      {"01:00", "'01:00' is not a PCI address"},
      {"01:00.8", "a function of 0 to 7, or * for all"},
      {"01:20.0", "is not a PCI address"},
      {"100:00.0", "is not a PCI address"},
      {"10000:01:00.0", "is not a PCI address"},
      {"0:0:01:00.0", "is not a PCI address"},
      {"01:*.0", "is not a PCI address"},
      {"01:00.0-3", "a function of 0 to 7, or * for all"},
      {"01:00.0,1,2", "'1' is not KEY=VALUE"},
      {"01:00.0,02:00.0", "'02:00.0' is not KEY=VALUE"},
      {"01:00.0@100", "'100' is not a virtual slot"},
      {"01:00.0@0x", "'0x' is not a virtual slot"},
      {"01:00.0,,seize=1", "'' is not KEY=VALUE"},
      {",bdf=01:00.0", "'' is not KEY=VALUE"},
      {"01:00.0,vslot=zz", "'zz' is not a virtual slot"},
      {"01:00.0,bdf=02:00.0", "names a device twice"},
      {"01:00.0,colour=red", "Unknown PCI_SPEC_STRING option: colour"},
      {"01:00.0,rdm_policy=lax", "Unknown RDM policy: lax"},
      {"name=gpu", "which Simvisor does not keep; give its bdf"},
      {"0x1:00.0", "is not a PCI address"},
  };
  for (const auto& [text, why] : kSpecs) {
    const auto parsed = ParsePciSpec(text);
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument)
        << text;
    EXPECT_THAT(
        std::string(parsed.status().message()),
        AllOf(HasSubstr(std::string("unable to parse PCI_SPEC_STRING `") +
                        text + "' for passthrough: "),
              HasSubstr(why)));
  }
}

}  // namespace
}  // namespace simvisor::client
