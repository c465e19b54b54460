#include "domain/boot_log/ibft_log.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

namespace simvisor {
namespace {

bool Reserves(const std::string& text) {
  IbftLog log;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) log.Add(line);
  return log.Reserves();
}

constexpr char kRamThere[] =
    "[    0.000000] Xen: [mem 0x0000000000000000-0x000000000009dfff] usable\n"
    "[    0.000000] Xen: [mem 0x000000000009ec00-0x00000000000fffff] "
    "reserved\n";
constexpr char kNoRamThere[] =
    "[    0.000000] Xen: [mem 0x0000000000000000-0x000000000007ffff] usable\n"
    "[    0.000000] Xen: [mem 0x0000000000080000-0x00000000000fffff] "
    "reserved\n";
constexpr char kFirmwareMap[] =
    "[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009dfff] "
    "usable\n";

TEST(IbftLogTest, LogOfADom0KernelSaysWhatThatKernelDid) {
  for (const char* words :
       {"[    0.000000] e820: BIOS-provided physical RAM map:\n",
        "[    0.000000] Linux version 3.8.0\n",
        "[    0.000000] Released 0 page(s)\n",
        "[    0.000000] Remapped 98 page(s)\n",
        "[    0.000000] Set 98 page(s) to 1-1 mapping\n"}) {
    EXPECT_FALSE(Reserves(absl::StrCat(words, kRamThere))) << words;
    EXPECT_TRUE(Reserves(absl::StrCat(words, kNoRamThere))) << words;
  }
}

TEST(IbftLogTest, FormOfOldKernelsIsOfAKernelWithoutTheSearch) {
  EXPECT_FALSE(
      Reserves("[    0.000000]  Xen: 0000000000000000 - 000000000009d000 "
               "(usable)\n"));
}

TEST(IbftLogTest, MapThatACurrentKernelMayStartFromIsChanged) {
  EXPECT_TRUE(Reserves(kRamThere));
  EXPECT_TRUE(Reserves("[mem 0x0-0x9dfff] usable\n"));
  EXPECT_TRUE(Reserves(
      "(XEN) Xen-e820 RAM map:\n(XEN)  0000000000000000 - 000000000009a800 "
      "(usable)\n"));
  EXPECT_TRUE(Reserves(""));
}

TEST(IbftLogTest, MapOfABootWithoutXenIsUnchanged) {
  EXPECT_FALSE(Reserves(kFirmwareMap));
}

TEST(IbftLogTest, Dom0sOwnMapBesideTheHypervisorsDecides) {
  const std::string hypervisor =
      "(XEN)  0000000000000000 - 000000000009a800 (usable)\n";
  const std::string header = "[    0.000000] BIOS-provided physical RAM map:\n";
  EXPECT_FALSE(Reserves(absl::StrCat(hypervisor, header, kRamThere)));
  EXPECT_TRUE(Reserves(absl::StrCat(hypervisor, header, kNoRamThere)));
}

TEST(IbftLogTest, LinesThatAreCutShortSayNothing) {
  for (const char* line :
       {"Linux version 6\nXen: [mem 0x", "Linux version 6\nXen: [mem 0x0-0x",
        "Linux version 6\nXen: [mem 0xzz-0xyy] usable"}) {
    EXPECT_TRUE(Reserves(line)) << line;
  }
}

TEST(IbftLogTest, LastMapOfDom0sKernelDecides) {
  const std::string header = "[    0.000000] BIOS-provided physical RAM map:\n";
  EXPECT_TRUE(Reserves(absl::StrCat(header, kRamThere, header, kNoRamThere)));
  EXPECT_FALSE(Reserves(absl::StrCat(header, kNoRamThere, header, kRamThere)));
}

}  // namespace
}  // namespace simvisor
