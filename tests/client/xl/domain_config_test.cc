// Real xl.cfg files, and files with the mistakes that people make.

#include "client/xl/domain_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace simvisor::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

struct DomainConfig {
  v1::DomainSpec spec;
  std::vector<std::string> warnings;
};

absl::StatusOr<DomainConfig> Parse(const std::string& text,
                                   std::vector<std::string> overrides = {}) {
  DomainConfig config;
  auto spec = ParseDomainConfig("web.cfg", text, overrides, config.warnings);
  if (!spec.ok()) return spec.status();
  config.spec = *std::move(spec);
  return config;
}

TEST(DomainConfigTest, UnknownKeyIsNamedEvenAfterAnError) {
  std::vector<std::string> warnings;
  EXPECT_FALSE(
      ParseDomainConfig("web.cfg", "nmae = \"web\"\n", {}, warnings).ok());
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("unknown key 'nmae'")));
}

std::string ErrorOf(const std::string& text,
                    std::vector<std::string> overrides = {}) {
  const auto config = Parse(text, std::move(overrides));
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(config.status().message());
}

TEST(DomainConfigTest, EveryKeyInUseReachesTheSpec) {
  const auto config = Parse(R"(# a guest
name = "web"
uuid = '01234567-89AB-cdef-0123-456789abcdef'
type = "pv"
memory = 512; maxmem = 0x400
vcpus = 2
maxvcpus = 4
e820_host = 1
simvisor_hotplug_limit = 64
)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->spec.name(), "web");
  EXPECT_EQ(config->spec.uuid(), "01234567-89AB-cdef-0123-456789abcdef");
  EXPECT_EQ(config->spec.memory_pages(), 512 * 256u);
  EXPECT_EQ(config->spec.max_memory_pages(), 1024 * 256u);
  EXPECT_EQ(config->spec.vcpus(), 2u);
  EXPECT_TRUE(config->spec.e820_host());
  EXPECT_EQ(config->spec.memory_hotplug_limit_gib(), 64u);
  EXPECT_THAT(config->warnings, IsEmpty());
}

TEST(DomainConfigTest, SimvisorKeysReachTheSpec) {
  const auto config = Parse(R"(name = "old"
arch = "x86_32_pae"
memory_hotplug_limit = 32
tools_view = "linear"
balloon_room = "compact"
balloon_max_retry = 0
shared_kernel_pmd = 1
kernel_split = "2g2g"
)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->warnings, IsEmpty());
  const v1::DomainSpec& spec = config->spec;
  EXPECT_EQ(spec.arch(), v1::ARCH_X86_32_PAE);
  EXPECT_EQ(spec.memory_hotplug_limit_gib(), 32u);
  EXPECT_EQ(spec.tools_view(), v1::TOOLS_VIEW_LINEAR);
  EXPECT_EQ(spec.balloon_room(), v1::BALLOON_ROOM_COMPACT);
  EXPECT_TRUE(spec.has_balloon_max_retry());
  EXPECT_EQ(spec.balloon_max_retry(), 0u);
  EXPECT_TRUE(spec.pae_kernel().shared_kernel_pmd());
  EXPECT_EQ(spec.pae_kernel().split(), v1::KERNEL_SPLIT_2G_2G);
}

TEST(DomainConfigTest, MissingSimvisorKeysLeaveTheSpecUnset) {
  const auto config = Parse("name = \"web\"");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->spec.arch(), v1::ARCH_UNSPECIFIED);
  EXPECT_EQ(config->spec.tools_view(), v1::TOOLS_VIEW_UNSPECIFIED);
  EXPECT_EQ(config->spec.balloon_room(), v1::BALLOON_ROOM_UNSPECIFIED);
  EXPECT_FALSE(config->spec.has_balloon_max_retry());
  EXPECT_FALSE(config->spec.has_pae_kernel());
}

TEST(DomainConfigTest, UnknownWordIsRefusedWithTheKnownWords) {
  const auto with = [](const std::string& line) {
    return ErrorOf("name = \"web\"\n" + line);
  };
  EXPECT_EQ(with("arch = \"i386\""),
            "arch: 'i386': must be one of x86_64, x86_32_pae");
  EXPECT_EQ(with("tools_view = \"\""),
            "tools_view: '': must be one of tree, linear");
  EXPECT_EQ(with("balloon_room = \"Compact\""),
            "balloon_room: 'Compact': must be one of faithful, compact");
  EXPECT_EQ(with("kernel_split = \"4g\""),
            "kernel_split: '4g': must be one of 3g1g, 2g2g, 1g3g");
  EXPECT_THAT(with("shared_kernel_pmd = 2"), HasSubstr("must be 0 to 1"));
  EXPECT_THAT(with("balloon_max_retry = 4294967296"),
              HasSubstr("balloon_max_retry: 4294967296"));
}

TEST(DomainConfigTest, DefaultsMatchXl) {
  const auto config = Parse("name = \"web\"");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->spec.memory_pages(), 32 * 256u);
  EXPECT_EQ(config->spec.max_memory_pages(), 0u);
  EXPECT_EQ(config->spec.vcpus(), 1u);
  EXPECT_EQ(config->spec.memory_map_case(), v1::DomainSpec::MEMORY_MAP_NOT_SET);
}

TEST(DomainConfigTest, MaxmemWithoutMemoryIsAlsoTheMemory) {
  const auto config = Parse("name = \"web\"\nmaxmem = 256\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->spec.memory_pages(), 256 * 256u);
}

TEST(DomainConfigTest, AnyPciDeviceForcesTheHostsMap) {
  const auto config = Parse(R"(name = "web"
e820_host = 0
pci = [ "0000:01:00.0, permissive=1",
        '02:00.1', ]
)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->spec.pci_devices(),
              ElementsAre("0000:01:00.0", "0000:02:00.1"));
  EXPECT_TRUE(config->spec.e820_host());
}

TEST(DomainConfigTest, OverridesWinInTheirOrder) {
  const auto config = Parse("name = \"web\"\nmemory = 512",
                            {"memory=64", "name='db'", "memory = 128"});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->spec.name(), "db");
  EXPECT_EQ(config->spec.memory_pages(), 128 * 256u);
}

TEST(DomainConfigTest, KeysWithoutEffectAreNamedInOneLine) {
  const auto config = Parse(R"(
name = "guest"
kernel = "/boot/vmlinuz-6.1"
ramdisk = "/boot/initrd.img"
extra = "root=/dev/xvda1 ro # not a comment"
memory = 1024
disk = [ 'phy:/dev/vg0/guest,xvda,w' ]
vif = [ 'mac=00:16:3e:00:00:01,bridge=xenbr0' ]
on_poweroff = "destroy"
on_reboot   = "restart"
on_crash    = "restart"
vnuma = [ [ "pnode=0","size=1024","vcpus=0","vdistances=10" ] ]
pool = "Pool-0"; cap = 50; weight = 512; oos = 1
period = 100; slice = 5; latency = 10; extratime = 1
)",
                            {"claim_mode=1", "pool=\"other\""});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->warnings,
              ElementsAre("without effect here: kernel, ramdisk, extra, disk, "
                          "vif, on_poweroff, on_reboot, on_crash, vnuma, pool, "
                          "cap, weight, oos, period, slice, latency, "
                          "extratime, claim_mode"));
}

TEST(DomainConfigTest, UnknownActionsAreRefusedInXlsWords) {
  for (const char* key : {"on_poweroff", "on_reboot", "on_watchdog", "on_crash",
                          "on_soft_reset"}) {
    const std::string line = std::string("name = \"web\"\n") + key + " = ";
    for (const char* action :
         {"destroy", "restart", "rename-restart", "preserve",
          "coredump-destroy", "coredump-restart", "soft-reset"}) {
      EXPECT_TRUE(Parse(line + "'" + action + "'").ok()) << key << action;
    }
    for (const std::string action :
         {"", "explode", "Destroy", "rename_restart"}) {
      EXPECT_THAT(ErrorOf(line + "'" + action + "'"),
                  HasSubstr(std::string("Unknown ") + key + " action \"" +
                            action + "\" specified"));
    }
  }
}

TEST(DomainConfigTest, NameThatIsNotUtf8IsRefusedWithTheByte) {
  EXPECT_THAT(ErrorOf("name = \"latin\xef\"\nmemory = 128\n"),
              HasSubstr("name \"latin\\xef\": byte 0xef at offset 5 is not "
                        "UTF-8"));
  EXPECT_THAT(ErrorOf("name = \"a\"", {"name=\"\xe9t\xe9\""}),
              HasSubstr("byte 0xe9 at offset 0 is not UTF-8"));
  const auto config = Parse(
      "# \xe9t\xe9\nname = \"\xc3\xa9\" # \xef\n"
      "extra = \"\xe9\"\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->spec.name(), "\xc3\xa9");
}

TEST(DomainConfigTest, HiddenCharactersAreNamed) {
  EXPECT_THAT(ErrorOf("\xef\xbb\xbfname = \"a\"\n"),
              HasSubstr("begins with a byte order mark"));
  EXPECT_THAT(ErrorOf("name = \xe2\x80\x9c"
                      "a\xe2\x80\x9d\n"),
              HasSubstr("line 1 has U+201C, \xe2\x80\x9c, outside of quotes"));
  EXPECT_THAT(ErrorOf("name = \"a\"\nmemory\xc2\xa0= 64\n"),
              HasSubstr("line 2 has U+00A0"));
  EXPECT_THAT(ErrorOf("name = \"a\"\nmemory = \xe9\n"),
              HasSubstr("line 2 has byte 0xe9 outside of quotes"));
  EXPECT_THAT(ErrorOf("name = \"a\"\rmemory = 64\r"),
              HasSubstr("lines end in CR;"));
  EXPECT_THAT(ErrorOf(std::string("\xff\xfen\0a\0", 6)),
              HasSubstr("is UTF-16"));
}

TEST(DomainConfigTest, PciDevicesMaySpanLinesWithComments) {
  const auto config = Parse(R"(name = "a"   # the name
pci = [
  "01:00.0",   # a card
  # "02:00.0",
  'bdf=03:00.*,permissive=1',
]  # all
)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->spec.pci_devices(),
              ElementsAre("0000:01:00.0", "0000:03:00.*"));
}

TEST(DomainConfigTest, UnknownKeyIsNamedWithItsLineAndItsNeighbour) {
  const auto config = Parse("name = \"web\"\nmemroy = 64\n", {"zzz_option=1"});
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->warnings.size(), 2u);
  EXPECT_EQ(config->warnings[0],
            "web.cfg:2: unknown key 'memroy' has no effect; did you mean "
            "'memory'?");
  EXPECT_EQ(config->warnings[1],
            "argument: unknown key 'zzz_option' has no effect");
}

TEST(DomainConfigTest, ManyUnknownKeysAreCounted) {
  std::string text = "name = \"web\"\n";
  for (int i = 0; i < 40; ++i) absl::StrAppend(&text, "zzz", i, " = 1\n");
  const auto config = Parse(text);
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->warnings.size(), 11u);
  EXPECT_THAT(config->warnings[9], HasSubstr("'zzz9'"));
  EXPECT_EQ(config->warnings[10], "30 more keys are unknown");
}

TEST(DomainConfigTest, EleventhUnknownKeyIsOneMore) {
  std::string text = "name = \"web\"\n";
  for (int i = 0; i < 11; ++i) absl::StrAppend(&text, "zzz", i, " = 1\n");
  const auto config = Parse(text);
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->warnings.size(), 11u);
  EXPECT_EQ(config->warnings[10], "1 more key is unknown");
}

TEST(DomainConfigTest, NameIsMandatory) {
  EXPECT_EQ(ErrorOf("memory = 64"), "Domain name must be specified.");
  EXPECT_EQ(ErrorOf("name = \"\""), "Domain name must be specified.");
  EXPECT_EQ(ErrorOf(""), "Domain name must be specified.");
}

TEST(DomainConfigTest, TypeIsMatchedByItsBeginning) {
  EXPECT_TRUE(Parse("name = \"web\"\ntype = \"p\"").ok());
  EXPECT_TRUE(Parse("name = \"web\"\nbuilder = \"generic\"").ok());
  EXPECT_EQ(ErrorOf("name = \"web\"\ntype = \"xyz\""),
            "Invalid domain type xyz.");
  EXPECT_EQ(ErrorOf("name = \"web\"\ntype = \"generic\""),
            "Invalid domain type generic.");
  EXPECT_EQ(ErrorOf("name = \"web\"\ntype = \"pv\"\nbuilder = \"xyz\""),
            "Invalid domain type xyz.");
  EXPECT_THAT(ErrorOf("name = \"web\"\nbuilder = \"hvm\""),
              HasSubstr("only PV domains"));
  EXPECT_THAT(ErrorOf("name = \"web\"\ntype = \"hvm\""),
              HasSubstr("only PV domains"));
  EXPECT_THAT(ErrorOf("name = \"web\"\ntype = \"pvh\""),
              HasSubstr("only PV domains"));
}

TEST(DomainConfigTest, TypeThatContradictsBuilderIsRefusedInXlsWords) {
  const auto both = [](const std::string& type, const std::string& builder) {
    return "name = \"web\"\ntype = \"" + type + "\"\nbuilder = \"" + builder +
           "\"\n";
  };
  constexpr char kContradicting[] =
      "Contradicting \"builder\" and \"type\" options specified.";
  EXPECT_EQ(ErrorOf(both("pv", "hvm")), kContradicting);
  EXPECT_EQ(ErrorOf(both("hvm", "generic")), kContradicting);
  EXPECT_EQ(ErrorOf(both("pvh", "hvm")), kContradicting);
  EXPECT_EQ(ErrorOf(both("pvh", "generic")), kContradicting);
  EXPECT_THAT(ErrorOf(both("hvm", "hvm")), HasSubstr("only PV domains"));
  EXPECT_TRUE(Parse(both("pv", "generic")).ok());
  EXPECT_TRUE(Parse(both("pv", "linux")).ok());
}

TEST(DomainConfigTest, NumbersOutOfBoundsAreNamed) {
  EXPECT_EQ(ErrorOf("name = \"web\"\nvcpus = 4\nmaxvcpus = 2"),
            "maxvcpus: 2: must not be below vcpus, 4");
  EXPECT_THAT(ErrorOf("name = \"web\"\nmemory = \"-1\""),
              HasSubstr("memory: -1"));
  EXPECT_THAT(ErrorOf("name = \"web\"\nmemory = 0x7fffffffffffffff"),
              HasSubstr("memory: 9223372036854775807"));
  EXPECT_THAT(ErrorOf("name = \"web\"\nmemory = 64\nmaxmem = 32"),
              HasSubstr("maxmem: 32 MiB"));
}

TEST(DomainConfigTest, ValueOfAnotherKindIsRefusedInLibxlutilsWords) {
  EXPECT_THAT(ErrorOf("name = \"web\"\nmemory = \"512M\""),
              HasSubstr("memory"));
  EXPECT_THAT(ErrorOf("name = [ \"web\" ]"), HasSubstr("name"));
  EXPECT_THAT(ErrorOf("name = \"web\"\nmemory = [ 64 ]"), HasSubstr("memory"));
}

TEST(DomainConfigTest, UuidOfAnotherFormIsRefused) {
  EXPECT_EQ(ErrorOf("name = \"web\"\nuuid = \"1234\""),
            "Failed to parse UUID: 1234");
}

TEST(DomainConfigTest, SyntaxErrorIsReportedWithFileAndLine) {
  EXPECT_THAT(ErrorOf("name = \"web\"\nmemory 64\n"), HasSubstr("web.cfg:2"));
  EXPECT_THAT(ErrorOf("name = \"web\"\r\nmemory = 64\r\n"),
              HasSubstr("web.cfg:1"));
  EXPECT_THAT(ErrorOf("name = \"web"), HasSubstr("web.cfg:1"));
}

TEST(DomainConfigTest, LongReportIsWhole) {
  std::string text = "import os\n";
  for (int i = 2; i <= 25; ++i) absl::StrAppend(&text, "root:x:", i, "\n");
  const std::vector<std::string> lines = absl::StrSplit(ErrorOf(text), '\n');
  ASSERT_GT(lines.size(), 25);
  for (int i = 1; i <= 25; ++i) {
    EXPECT_THAT(lines[i - 1], HasSubstr(absl::StrCat("web.cfg:", i, ": ")));
  }
  // libxlutil's words on Python.
  for (size_t i = 25; i < lines.size(); ++i) {
    EXPECT_THAT(lines[i], testing::StartsWith("warning: "));
  }
}

TEST(DomainConfigTest, LineEndsOfOtherSystemsAreExplained) {
  EXPECT_THAT(ErrorOf("name = \"web\"\r\n"), HasSubstr("CR LF"));
}

TEST(DomainConfigTest, NumbersWithAPointOrAUnitAreExplained) {
  const std::string rule =
      ": numbers are whole, not negative and below 2^63, decimal or 0x..., "
      "and have no unit; memory and maxmem are in MiB";
  const std::string semicolon_rule = ";" + rule.substr(1);
  EXPECT_THAT(ErrorOf("name = \"web\"\nmemory = 1.5g # much\n"),
              HasSubstr("line 2, memory = 1.5g" + rule));
  EXPECT_THAT(ErrorOf("memory=512m\n"),
              HasSubstr("line 1, memory=512m" + rule));
  EXPECT_THAT(ErrorOf("memory = -5\n"), HasSubstr("memory = -5" + rule));
  EXPECT_THAT(ErrorOf("name = \"web\"\nmemory = \"1.5g\"\n"),
              HasSubstr("`memory' is not a valid number" + semicolon_rule));
  EXPECT_THAT(ErrorOf("name = \"web\"", {"memory=1.5"}),
              AllOf(HasSubstr("argument 'memory=1.5'"), HasSubstr("whole"),
                    Not(HasSubstr("quotes"))));
  EXPECT_THAT(ErrorOf("memory = 0x10\nvcpus = 1\nname\n"),
              Not(HasSubstr("whole")));
}

TEST(DomainConfigTest, ZeroByteIsRefusedBeforeLibxlutilSeesIt) {
  EXPECT_THAT(ErrorOf(std::string("name = \"a\0b\"", 12)),
              HasSubstr("zero byte"));
}

TEST(DomainConfigTest, BadOverrideIsNamedWithAHint) {
  EXPECT_THAT(
      ErrorOf("name = \"web\"", {"name=db"}),
      testing::AllOf(HasSubstr("argument 'name=db'"), HasSubstr("quotes")));
  EXPECT_THAT(ErrorOf("name = \"web\"", {"paused"}), HasSubstr("KEY=VALUE"));
}

TEST(DomainConfigTest, ListOverSeveralLinesIsNotBlamedForAnotherError) {
  EXPECT_THAT(
      ErrorOf("name = \"web\"\nvif = [\n'mac=00:16:3e:00:00:01,bridge=xenbr0',"
              "\n]\npci = [\n'0000:00:1b.0,permissive=1',\n]\nmemory 64\n"),
      AllOf(HasSubstr("web.cfg:8: "), Not(HasSubstr("numbers"))));
}

}  // namespace
}  // namespace simvisor::client
