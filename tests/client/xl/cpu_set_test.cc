// xl's syntax for sets of CPUs, on the command line and in config files.

#include "client/xl/cpu_set.h"

#include <string>
#include <vector>

#include "client/xl/domain_config.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace simvisor::client {
namespace {

using ::testing::HasSubstr;

// The ranges as "0+4 9+" (open), or the error's message.
std::string Parsed(absl::string_view text) {
  const auto set = ParseCpuSet(text);
  if (!set.ok()) return std::string(set.status().message());
  std::string ranges;
  for (const v1::CpuRange& range : set->ranges()) {
    ranges += ranges.empty() ? "" : " ";
    ranges += std::to_string(range.first_cpu()) + "+";
    if (range.count() != 0) ranges += std::to_string(range.count());
  }
  return ranges;
}

TEST(CpuSetTest, PiecesActInOrder) {
  struct Case {
    std::string text;
    std::string ranges;
  };
  const std::vector<Case> kCases = {
      {"0", "0+1"},
      {"0-3", "0+4"},
      {"0-3,5,^1", "0+1 2+2 5+1"},
      {"5,3,4", "3+3"},
      {"^1,0-3", "0+4"},
      {"3-3", "3+1"},
      {"007", "7+1"},
      {"0-8191", "0+8192"},
      {" 0 , 2 ", "0+1 2+1"},
      {"0,,1,", "0+2"},
      // No range means all CPUs; an open range reaches the last CPU.
      {"all", ""},
      {"3,all", ""},
      {"all,^0", "1+"},
      {"all,^2-3", "0+2 4+"},
      {"all,^0-8191,7", "7+1"},
      {"nodes:0", ""},
      {"node:0", ""},
      {"nodes:0-0", ""},
      {"nodes:all", ""},
      {"node:0,^0", "1+"},
      {"1,nodes:0,^nodes:0,2", "2+1"},
  };
  for (const Case& c : kCases) EXPECT_EQ(Parsed(c.text), c.ranges) << c.text;
}

TEST(CpuSetTest, MistakesAreNamedInXlsWords) {
  struct Case {
    std::string text;
    std::string message;
  };
  const std::vector<Case> kCases = {
      {"", "no CPU is left"},
      {",", "no CPU is left"},
      {"1,^1", "no CPU is left"},
      {"^0", "no CPU is left"},
      {"all,^all", "Can't combine \"^\" and \"all\"."},
      {"^nodes:all", "Can't combine \"^\" and \"all\"."},
      {"x", "Invalid pcpu range: x."},
      {"ALL", "Invalid pcpu range: ALL."},
      {"0-", "Invalid pcpu range: 0-."},
      {"-3", "Invalid pcpu range: -3."},
      {"3-1", "Invalid pcpu range: 3-1.\nthe range ends before it begins"},
      {"1-2-3", "Invalid pcpu range: 1-2-3."},
      {"+1", "Invalid pcpu range: +1."},
      {"0x1", "Invalid pcpu range: 0x1."},
      {"^^1", "Invalid pcpu range: ^1."},
      {"8192", "CPUs end at 8191"},
      {"0-99999999999999999999", "CPUs end at 8191"},
      {"nodes:1", "node 1: the host has one node, 0"},
      {"nodes:0-3", "node 3: the host has one node, 0"},
      {"nodes:", "Invalid pcpu range: ."},
  };
  for (const Case& c : kCases) {
    EXPECT_THAT(Parsed(c.text), HasSubstr(c.message)) << c.text;
  }
}

TEST(CpuSetTest, SetsPrintAsXlPrintsThem) {
  for (const char* text : {"all", "0", "0-2", "1,3-5,63", "62-63"}) {
    EXPECT_EQ(FormatCpuSet(*ParseCpuSet(text), 64), text);
  }
  EXPECT_EQ(FormatCpuSet(*ParseCpuSet("0-63"), 64), "all");
  EXPECT_EQ(FormatCpuSet(*ParseCpuSet("all,^0"), 64), "1-63");
  EXPECT_EQ(FormatCpuSet(*ParseCpuSet("all,^0"), 2), "1");
  EXPECT_EQ(FormatCpuSet(*ParseCpuSet("0"), 1), "all");
}

// The affinities of a config, "HARD/SOFT" for each entry, on 64 CPUs.
std::string Affinities(const std::string& text) {
  std::vector<std::string> warnings;
  const auto spec =
      ParseDomainConfig("a.cfg", "name = \"a\"\n" + text, {}, warnings);
  if (!spec.ok()) return std::string(spec.status().message());
  std::string affinities;
  for (const v1::VcpuAffinity& affinity : spec->vcpu_affinities()) {
    affinities += affinities.empty() ? "" : " ";
    affinities += FormatCpuSet(affinity.hard(), 64) + "/" +
                  FormatCpuSet(affinity.soft(), 64);
  }
  return affinities;
}

TEST(CpuSetTest, ConfigKeysPinVirtualCpus) {
  EXPECT_EQ(Affinities("vcpus = 4"), "");
  EXPECT_EQ(Affinities("vcpus = 4\ncpus = \"0-3,^1\""), "0,2-3/all");
  EXPECT_EQ(Affinities("vcpus = 4\ncpus = 7\ncpus_soft = \"0-3\""), "7/0-3");
  // A list is for the first virtual CPUs; the others run anywhere.
  EXPECT_EQ(Affinities("vcpus = 3\ncpus = [\"2\", \"3-4\"]"),
            "2/all 3-4/all all/all");
  EXPECT_EQ(Affinities("vcpus = 3\ncpus = [\"2\"]"), "2/all all/all all/all");
  EXPECT_EQ(Affinities("vcpus = 2\ncpus = [2, 3, 4]"), "2/all 3/all");
  EXPECT_EQ(Affinities("vcpus = 2\ncpus = [2]\ncpus_soft = \"0-1\""),
            "2/0-1 all/0-1");
  EXPECT_EQ(Affinities("vcpus = 2\ncpus = []"), "");
}

TEST(CpuSetTest, BadSetOfAConfigNamesItsKey) {
  EXPECT_THAT(Affinities("cpus = \"x\""),
              HasSubstr("cpus: Invalid pcpu range: x."));
  EXPECT_THAT(Affinities("cpus_soft = [\"0\", \"1,^1\"]"),
              HasSubstr("cpus_soft: CPUs '1,^1': no CPU is left"));
}

}  // namespace
}  // namespace simvisor::client
