// Numbers, sizes and domains on the command line.

#include "client/ui/quantities.h"

#include <gtest/gtest.h>

#include <string>

#include "client/ui/exit_code.h"

namespace simvisor::client {
namespace {

TEST(QuantitiesTest, NumbersAreDecimalOrHexadecimal) {
  EXPECT_EQ(*ParseNumber("pfn", "0"), 0u);
  EXPECT_EQ(*ParseNumber("pfn", "010"), 10u);
  EXPECT_EQ(*ParseNumber("pfn", "0xFf"), 255u);
  EXPECT_EQ(*ParseNumber("pfn", "18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(*ParseNumber("pfn", "0xffffffffffffffff"), UINT64_MAX);
}

TEST(QuantitiesTest, TextThatIsNotANumberIsAUsageError) {
  for (const char* text :
       {"", " 1", "1 ", "-1", "+1", "0x", "0x-1", "0xfg", "1k", "12.5",
        "18446744073709551616", "0x10000000000000000", "\xff"}) {
    const auto number = ParseNumber("pfn", text);
    EXPECT_EQ(ExitCode(number.status()), kExitUsage) << text;
  }
  EXPECT_EQ(ParseNumber("pfn", "1.5g").status().message(),
            "pfn '1.5g': must be a whole number below 2^64, decimal or 0x..., "
            "without a unit");
}

TEST(QuantitiesTest, XlMemoryIsInMibWithoutASuffix) {
  EXPECT_EQ(*ParseXlMemory("1"), 256u);
  EXPECT_EQ(*ParseXlMemory("1m"), 256u);
  EXPECT_EQ(*ParseXlMemory("2G"), 2u * 262144);
  EXPECT_EQ(*ParseXlMemory("1T"), uint64_t{1} << 28);
  EXPECT_EQ(*ParseXlMemory("7024020K"), 1756005u);
  EXPECT_EQ(*ParseXlMemory("4096b"), 1u);
}

TEST(QuantitiesTest, XlMemoryIsRoundedDownToPages) {
  EXPECT_EQ(*ParseXlMemory("7k"), 1u);
  EXPECT_EQ(*ParseXlMemory("4095b"), 0u);
}

TEST(QuantitiesTest, BadMemorySizeFailsInXlsWords) {
  for (const char* text : {"", "x", "1q", "1mm", "-1", "1.5g", "k",
                           "99999999999999999999", "18446744073709551615t"}) {
    const auto pages = ParseXlMemory(text);
    EXPECT_EQ(ExitCode(pages.status()), kExitUsage) << text;
    EXPECT_EQ(pages.status().message().substr(0, 21), "invalid memory size: ");
  }
}

TEST(QuantitiesTest, PagesAreABareNumberOrASizeOfWholePages) {
  EXPECT_EQ(*ParsePages("512"), 512u);
  EXPECT_EQ(*ParsePages("0x10"), 16u);
  EXPECT_EQ(*ParsePages("2m"), 512u);
  EXPECT_EQ(*ParsePages("8k"), 2u);
  for (const char* text : {"6k", "1b", "", "-5", "5x", "m"}) {
    EXPECT_EQ(ExitCode(ParsePages(text).status()), kExitUsage) << text;
  }
}

TEST(QuantitiesTest, SizesThatCannotBeReadSayWhatIsAccepted) {
  const auto xl = [](const char* text) {
    return std::string(ParseXlMemory(text).status().message());
  };
  const std::string accepted =
      "; give MiB as a whole decimal number, or one with t, g, m, k or b";
  EXPECT_EQ(xl("512x"), "invalid memory size: 512x" + accepted);
  EXPECT_EQ(xl("0x10"), "invalid memory size: 0x10" + accepted);
  EXPECT_EQ(xl(""), "invalid memory size: ''" + accepted);
  EXPECT_EQ(xl("1.5g"),
            "invalid memory size: 1.5g" + accepted + "; 1.5g is 1536m");
  // No whole number of the next unit.
  EXPECT_EQ(xl("1.3g"), "invalid memory size: 1.3g" + accepted);
  EXPECT_EQ(xl("1.5b"), "invalid memory size: 1.5b" + accepted);
  EXPECT_EQ(xl("18446744073709551616"),
            "invalid memory size: 18446744073709551616; a size must be below "
            "2^64 bytes");
  const auto pages = [](const char* text) {
    return std::string(ParsePages(text).status().message());
  };
  EXPECT_EQ(pages("512x"),
            "'512x': must be a number of pages, or a size such as 512m (t, g, "
            "m, k or b)");
  EXPECT_EQ(pages("0.5M"),
            "'0.5M': must be a number of pages, or a size such as 512m (t, g, "
            "m, k or b); 0.5M is 512k");
  EXPECT_EQ(pages("18446744073709551616"),
            "'18446744073709551616': must be a number of pages, or a size such "
            "as 512m (t, g, m, k or b), below 2^64");
}

TEST(QuantitiesTest, BytesAreANumberOrASize) {
  EXPECT_EQ(*ParseBytes("4097"), 4097u);
  EXPECT_EQ(*ParseBytes("0"), 0u);
  EXPECT_EQ(*ParseBytes("3k"), 3072u);
  const auto refused = [](const char* text) {
    return std::string(ParseBytes(text).status().message());
  };
  EXPECT_EQ(refused("1.5g"),
            "'1.5g': must be a whole number of bytes, or of t, g, m, k or b, "
            "such as 100m; 1.5g is 1536m");
  EXPECT_EQ(refused("16777216t"),
            "'16777216t': must be a whole number of bytes, or of t, g, m, k or "
            "b, such as 100m, below 2^64");
}

TEST(QuantitiesTest, FramesHaveAnOptionalCount) {
  EXPECT_EQ(ParseFrames("0x100")->first_mfn(), 0x100u);
  EXPECT_EQ(ParseFrames("0x100")->count(), 1u);
  EXPECT_EQ(ParseFrames("256+0x10")->count(), 16u);
  for (const char* text : {"", "+1", "1+", "1+2+3", "x"}) {
    EXPECT_EQ(ExitCode(ParseFrames(text).status()), kExitUsage) << text;
  }
}

TEST(QuantitiesTest, PfnsHaveAnOptionalCount) {
  EXPECT_EQ(ParsePfns("0x100")->first_pfn(), 0x100u);
  EXPECT_EQ(ParsePfns("0x100")->count(), 1u);
  EXPECT_EQ(ParsePfns("256+0x10")->count(), 16u);
  for (const char* text : {"", "+1", "1+", "1+2+3", "x"}) {
    EXPECT_EQ(ExitCode(ParsePfns(text).status()), kExitUsage) << text;
  }
}

TEST(QuantitiesTest, DomainIsADomidAUuidOrAName) {
  EXPECT_EQ(ParseDomain("0")->domid(), 0u);
  EXPECT_EQ(ParseDomain("0")->ref_case(), v1::DomainRef::kDomid);
  EXPECT_EQ(ParseDomain("007")->domid(), 7u);
  EXPECT_EQ(ParseDomain("01234567-89AB-cdef-0123-456789abcdef")->ref_case(),
            v1::DomainRef::kUuid);
  EXPECT_EQ(ParseDomain("web-1")->name(), "web-1");
  EXPECT_EQ(ParseDomain("-1")->name(), "-1");
  EXPECT_EQ(ExitCode(ParseDomain("4294967296").status()), kExitUsage);
}

TEST(QuantitiesTest, WholeMibPrintAsMib) {
  EXPECT_EQ(FormatPages(0), "0 MiB");
  EXPECT_EQ(FormatPages(512), "2 MiB");
  EXPECT_EQ(FormatPages(513), "513 pages");
  EXPECT_EQ(FormatPages(1), "1 page");
}

}  // namespace
}  // namespace simvisor::client
