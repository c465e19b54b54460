// Finds the names that a config assigns, between quotes, comments and lists.

#include "client/xl/config_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "client/xl/known_keys.h"

namespace simvisor::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> NamesIn(absl::string_view text) {
  std::vector<std::string> names;
  for (const AssignedKey& key : FindAssignedKeys(text)) {
    names.push_back(key.name + ":" + std::to_string(key.line));
  }
  return names;
}

TEST(ConfigKeysTest, StatementsBeginAfterNewlinesAndSemicolons) {
  EXPECT_THAT(NamesIn("aa = 1; bb=2\n\n  cc += 3\n;dd=4"),
              ElementsAre("aa:1", "bb:1", "cc:3", "dd:4"));
}

TEST(ConfigKeysTest, StringsHideTheirContents) {
  EXPECT_THAT(NamesIn("aa = \"x; bb = 1 # 'c'\"\ncc = 'it; d=\"1\"'"),
              ElementsAre("aa:1", "cc:2"));
  EXPECT_THAT(NamesIn("aa = \"x\\\"; bb = 1\"; cc = 2"),
              ElementsAre("aa:1", "cc:1"));
}

TEST(ConfigKeysTest, CommentsHideTheirContents) {
  EXPECT_THAT(NamesIn("# aa = 1; bb = 2\ncc = 3 # dd = 4\n  # ee = 5\n"),
              ElementsAre("cc:2"));
}

TEST(ConfigKeysTest, ListsMaySpanLines) {
  EXPECT_THAT(NamesIn("aa = [ 'x',\n 'y', # bb = 1\n [ 'z' ] ]\ncc = 1"),
              ElementsAre("aa:1", "cc:4"));
}

TEST(ConfigKeysTest, ValuesAreNotNames) {
  EXPECT_THAT(NamesIn("aa = 0xff\nbb = 1"), ElementsAre("aa:1", "bb:2"));
}

TEST(ConfigKeysTest, TextThatIsNotAConfigDoesNoHarm) {
  EXPECT_THAT(NamesIn(""), IsEmpty());
  EXPECT_THAT(NamesIn("]]]\n\"open\naa = 1"), ElementsAre("aa:3"));
  EXPECT_THAT(NamesIn("aa = \"\\"), ElementsAre("aa:1"));
}

TEST(ConfigKeysTest, MisplacedCharactersAreFound) {
  EXPECT_FALSE(FindStrayCharacter("name = \"caf\xe9\" # caf\xe9\n"));
  EXPECT_FALSE(FindStrayCharacter("# \xe2\x80\x9c\r\nname = 'a\r'\n"));
  const auto quote = FindStrayCharacter("aa = 1\nbb = \xe2\x80\x9cx\"\n");
  ASSERT_TRUE(quote);
  EXPECT_EQ(quote->text, "\xe2\x80\x9c");
  EXPECT_EQ(quote->line, 2);
  EXPECT_EQ(FindStrayCharacter("aa\xa0= 1")->text, "\xa0");
  EXPECT_EQ(FindStrayCharacter("aa = [\n 'x',\r\n]")->line, 2);
}

TEST(ConfigKeysTest, NearestKeyNeedsMoreThanAFewLetters) {
  EXPECT_EQ(NearestKey("memroy"), "memory");
  EXPECT_EQ(NearestKey("vcpu"), "vcpus");
  EXPECT_EQ(NearestKey("max_mem"), "maxmem");
  EXPECT_EQ(NearestKey("zzz_option"), "");
  EXPECT_EQ(NearestKey("q"), "");
}

TEST(ConfigKeysTest, KeysOfAnyVersionOfXlAreKnown) {
  for (const char* key : {"cap",
                          "period",
                          "slice",
                          "latency",
                          "extratime",
                          "oos",
                          "weight",
                          "cpu_weight",
                          "vnuma",
                          "pool",
                          "claim_mode",
                          "acpi_laptop_slate",
                          "bootloader_restrict",
                          "bootloader_user",
                          "xenstore_quota",
                          "xenstore_feature_mask",
                          "stubdomain_memory",
                          "vncviewer",
                          "xauthority",
                          "pvcalls",
                          "nr_spis",
                          "altp2mhvm",
                          "spice_streaming_video",
                          "vendor_device",
                          "driver_domain",
                          "llc_colors",
                          "nfs_root",
                          "on_crash",
                          "vcpu_avail"}) {
    EXPECT_TRUE(IsKnownKey(key)) << key;
    EXPECT_FALSE(HasEffect(key)) << key;
  }
}

TEST(ConfigKeysTest, KeysWithAnEffectAreKnown) {
  for (const char* key : {"name", "memory", "maxmem", "pci", "e820_host",
                          "cpus_soft", "builder", "kernel_split"}) {
    EXPECT_TRUE(IsKnownKey(key)) << key;
    EXPECT_TRUE(HasEffect(key)) << key;
  }
}

// The keys that xl 4.1 to 4.22 and xm read.
TEST(ConfigKeysTest, EveryKeyThatXlOrXmReadsIsKnown) {
  std::ifstream file("tests/testdata/configs/known-keys.txt");
  int keys = 0;
  for (std::string key; std::getline(file, key); ++keys) {
    EXPECT_TRUE(IsKnownKey(key)) << key;
  }
  EXPECT_GT(keys, 200);
}

TEST(ConfigKeysTest, KeyThatXlDoesNotReadIsUnknown) {
  for (const char* key : {"memroy", "gfx_passthrough", "shm", "watchdog"}) {
    EXPECT_FALSE(IsKnownKey(key)) << key;
  }
}

TEST(ConfigKeysTest, ValuesInListsAndStringsAreNoBadNumbers) {
  const auto bad = FindBadNumber(
      "vif = [\n"
      "  'mac=00:16:3e:00:00:01,bridge=xenbr0',\n"
      "'mac=00:16:3e:00:00:02,bridge=xenbr0',\n"
      "]\n"
      "pci = [\n'0000:00:1b.0,permissive=1', # seize=1x\n]\n"
      "extra = 'console=1.5'; # memory = 1.5g\n"
      "vcpus = 2; memory = 1.5g # much\n");
  ASSERT_TRUE(bad.has_value());
  EXPECT_EQ(bad->statement, "memory = 1.5g");
  EXPECT_EQ(bad->line, 9);
}

TEST(ConfigKeysTest, NumberInAnyFormThatXlReadsIsGood) {
  EXPECT_FALSE(FindBadNumber("a = 5\nb=0x1f;c = 0 # 1.5\nd = x\ne =\n\n= 5")
                   .has_value());
  for (const char* text : {"memory = -5", "\n memory=.5;", "memory += 5m",
                           "vcpus = 2 ; memory = 0xg"}) {
    EXPECT_TRUE(FindBadNumber(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace simvisor::client
