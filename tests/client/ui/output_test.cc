// The output of commands: xl's tables, p2m runs, bytes, the progress bar.

#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <string>

#include "client/ui/exit_code.h"
#include "client/ui/hex_dump.h"
#include "client/ui/progress_bar.h"
#include "client/ui/run_printer.h"
#include "client/ui/xl_output.h"
#include "simvisor/v1/common.pb.h"

namespace simvisor::client {
namespace {

TEST(XlOutputTest, ListMatchesXl) {
  EXPECT_EQ(ListHeader(ListColumns::kXl),
            "Name                                        ID   Mem VCPUs\tState"
            "\tTime(s)\n");
  v1::Domain domain;
  domain.set_name("web");
  domain.set_domid(12);
  domain.set_vcpus(2);
  domain.set_state(v1::DOMAIN_STATE_RUNNING);
  domain.mutable_memory()->set_current_pages(512 * 256 + 255);
  EXPECT_EQ(ListRow(domain, ListColumns::kXl),
            "web                                         12   512     2     "
            "r-----       0.0\n");
}

TEST(XlOutputTest, IncomingDomainHasXlsName) {
  v1::IncomingDomain domain;
  domain.set_name("web");
  domain.set_domid(12);
  domain.set_claimed_pages(512 * 256 + 255);
  EXPECT_EQ(IncomingRow(domain, ListColumns::kXl),
            "web--incoming                               12   512     0     "
            "--p---       0.0\n");
}

TEST(XlOutputTest, VerboseListAppendsUuidAndAbi) {
  v1::Domain domain;
  domain.set_name("old");
  domain.set_uuid("01234567-89ab-cdef-0123-456789abcdef");
  domain.set_arch(v1::ARCH_X86_32_PAE);
  const std::string plain = ListRow(domain, ListColumns::kXl);
  EXPECT_EQ(ListRow(domain, ListColumns::kVerbose),
            plain.substr(0, plain.size() - 1) +
                " 01234567-89ab-cdef-0123-456789abcdef x86_32_pae\n");
  EXPECT_EQ(ListHeader(ListColumns::kVerbose).find("ABI"),
            ListHeader(ListColumns::kXl).size() - 1 + 38);
}

TEST(XlOutputTest, StatesHaveXlsLetters) {
  const std::map<v1::DomainState, std::string> kFlags = {
      {v1::DOMAIN_STATE_BUILT, " --p--- "},
      {v1::DOMAIN_STATE_RUNNING, " r----- "},
      {v1::DOMAIN_STATE_PAUSED, " --p--- "},
      {v1::DOMAIN_STATE_DYING, " -----d "}};
  for (const auto& [state, flags] : kFlags) {
    v1::Domain domain;
    domain.set_state(state);
    EXPECT_NE(ListRow(domain, ListColumns::kXl).find(flags), std::string::npos)
        << flags;
    EXPECT_EQ(ListRow(domain, ListColumns::kXl).substr(0, 6), "(null)");
  }
}

TEST(XlOutputTest, InfoHasXlsMemoryLinesInXlsOrder) {
  v1::Host host;
  host.set_total_pages(1000 * 256 + 255);
  host.set_free_pages(10 * 256);
  std::string lines;
  for (const auto& [name, value] : InfoValues(host)) {
    lines += InfoLine(name, value);
  }
  EXPECT_NE(lines.find("total_memory           : 1000\n"
                       "free_memory            : 10\n"
                       "sharing_freed_memory   : 0\n"
                       "sharing_used_memory    : 0\n"
                       "outstanding_claims     : 0\n"
                       "free_cpus              : 0\n"
                       "xen_caps "),
            std::string::npos)
      << lines;
}

TEST(XlOutputTest, InfoHasNoRowsAboutTheDaemonsOwnTables) {
  v1::Host host;
  host.mutable_cpu_masks()->set_cpus(8);
  host.mutable_cpu_masks()->set_table_bytes(520);
  std::string names;
  for (const auto& [name, value] : InfoValues(host)) {
    names += name + " ";
    EXPECT_NE(value, "520") << name;
  }
  EXPECT_EQ(names.find("mask"), std::string::npos) << names;
  EXPECT_NE(names.find("max_cpu_id"), std::string::npos) << names;
}

v1::P2mRun MakeRun(uint64_t pfn, uint64_t count, v1::P2mClass p2m_class,
                   uint64_t frame) {
  v1::P2mRun run;
  run.set_first_pfn(pfn);
  run.set_count(count);
  run.set_p2m_class(p2m_class);
  run.set_first_frame(frame);
  return run;
}

std::string PrintRuns(bool by_frame) {
  std::ostringstream out;
  RunPrinter printer(out, by_frame);
  printer.Add(MakeRun(0, 16, v1::P2M_CLASS_RAM, 0x100));
  printer.Add(MakeRun(16, 16, v1::P2M_CLASS_RAM, 0x110));
  printer.Add(MakeRun(32, 16, v1::P2M_CLASS_RAM, 0x200));
  printer.Add(MakeRun(48, 1, v1::P2M_CLASS_FOREIGN, 0x210));
  printer.Add(MakeRun(49, 1, v1::P2M_CLASS_MISSING, 0));
  printer.Add(MakeRun(50, 14, v1::P2M_CLASS_MISSING, 0));
  printer.Add(MakeRun(64, 64, v1::P2M_CLASS_IDENTITY, 64));
  printer.Flush();
  return out.str();
}

TEST(RunPrinterTest, ByClassIsTheKernelsDump) {
  EXPECT_EQ(PrintRuns(false),
            " [0x0->0x31] pfn\n"
            " [0x31->0x40] missing\n"
            " [0x40->0x80] identity\n");
}

TEST(RunPrinterTest, ByFrameEndsRunsWhereFramesEnd) {
  EXPECT_EQ(PrintRuns(true),
            " [0x0->0x20] pfn mfn 0x100->0x120\n"
            " [0x20->0x30] pfn mfn 0x200->0x210\n"
            " [0x30->0x31] foreign mfn 0x210->0x211\n"
            " [0x31->0x40] missing\n"
            " [0x40->0x80] identity\n");
}

TEST(HexDumpTest, RepeatedLinesAreFolded) {
  std::string data(64, '\0');
  data.replace(0, 5, "hello");
  data += "\x7f\xff";
  EXPECT_EQ(HexDump(data, 0x10),
            "00000010  68 65 6c 6c 6f 00 00 00  00 00 00 00 00 00 00 00  "
            "|hello...........|\n"
            "00000020  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  "
            "|................|\n"
            "*\n"
            "00000050  7f ff                                             "
            "|..|\n"
            "00000052\n");
}

TEST(HexDumpTest, HexBytesMayBeSpaced) {
  EXPECT_EQ(*ParseHexBytes("00 ffA0"), std::string("\0\xff\xa0", 3));
  EXPECT_EQ(*ParseHexBytes(""), "");
  for (const char* text : {"0", "0x00", "zz", "00,11"}) {
    EXPECT_EQ(ExitCode(ParseHexBytes(text).status()), kExitUsage) << text;
  }
}

TEST(ProgressBarTest, IsDrawnWhenThePercentageChangesAndWiped) {
  std::ostringstream out;
  {
    ProgressBar bar(&out, "walk");
    bar.Update(0, 1000);
    const std::string first = out.str();
    EXPECT_NE(first.find("walk ["), std::string::npos);
    bar.Update(9, 1000);
    EXPECT_EQ(out.str(), first);
    bar.Update(1000, 1000);
    EXPECT_NE(out.str().find("100%"), std::string::npos);
  }
  EXPECT_EQ(out.str().substr(out.str().size() - 4), "\r\033[K");
}

TEST(ProgressBarTest, DrawsNothingWithoutATerminalOrATotal) {
  ProgressBar none(nullptr, "walk");
  none.Update(1, 2);
  none.Clear();
  std::ostringstream out;
  ProgressBar bar(&out, "walk");
  bar.Update(0, 0);
  bar.Clear();
  EXPECT_EQ(out.str(), "");
}

}  // namespace
}  // namespace simvisor::client
