// e820 explain, from its arguments to its output.  No daemon runs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/app.h"
#include "client/ui/exit_code.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kSerialCapture[] = "tests/testdata/e820/serial-capture.log";
constexpr char kRealDom0[] = "tests/testdata/e820/msi-h61m-8g-dom0.dmesg";

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

Outcome RunCli(std::vector<std::string> arguments) {
  std::ostringstream out;
  std::ostringstream err;
  // An address where nothing listens.
  arguments.insert(arguments.begin(), {"-a", "unix:/nowhere/simvisor.sock"});
  const int code = RunApp(arguments, {.out = out, .err = err});
  return {code, out.str(), err.str()};
}

class ClientE820Test : public ::testing::Test {
 protected:
  std::string Write(const std::string& text) {
    const std::string path = folder_.path() + "/log";
    std::ofstream(path) << text;
    return path;
  }

  ScopedFolder folder_;
};

TEST_F(ClientE820Test, SmallMachineIsExplainedLineByLine) {
  const Outcome outcome =
      RunCli({"e820", "explain",
              Write("(XEN) Xen-e820 RAM map:\n"
                    "(XEN)  [0000000000000000, 000000000009a7ff] (usable)\n"
                    "(XEN)  [000000000009a800, 000000000009ffff] (reserved)\n"
                    "(XEN)  [0000000000100000, 0000000007ffffff] (usable)\n"
                    "(XEN)  [00000000fec00000, 00000000fec00fff] (reserved)\n"),
              "--dom0-ibft", "off", "--dom0-memory", "64", "--dom0-max-memory",
              "65", "--guest-memory", "16"});
  EXPECT_EQ(outcome.code, kExitDone) << outcome.err;
  EXPECT_EQ(
      outcome.out,
      "machine: the hypervisor's map, lines 2 to 5, 4 entries, 32666 pages of "
      "RAM\n"
      "host: [mem 0x0000000000000000-0x000000000009a7ff] usable\n"
      "host: [mem 0x000000000009a800-0x000000000009ffff] reserved\n"
      "host: [mem 0x0000000000100000-0x0000000007ffffff] usable\n"
      "host: [mem 0x00000000fec00000-0x00000000fec00fff] reserved\n"
      "\n"
      "dom0: 16384 pages, at most 16640\n"
      "Released 0 page(s)\n"
      "Remapped 102 page(s)\n"
      "Xen: [mem 0x0000000000000000-0x0000000000099fff] usable\n"
      "Xen: [mem 0x000000000009a800-0x00000000000fffff] reserved\n"
      "Xen: [mem 0x0000000000100000-0x0000000004165fff] usable\n"
      "Xen: [mem 0x00000000fec00000-0x00000000fec00fff] reserved\n"
      "last_pfn: 0x4166\n"
      "identity: [0x9a->0x100] 102 pages\n"
      "identity: [0x8000->0xfec01] 1010689 pages\n"
      "identity: [0xfec01->]\n"
      "moved: [0x9a->0x100] 102 pages to 0x4000\n"
      "remap area: [0x4000->0x4066] 102 pages\n"
      "room to balloon: [0x4066->0x4166] 256 pages\n"
      "room to balloon in all: 256 pages\n"
      "max_pfn: 0x4166\n"
      "p2m area: 0x40000\n"
      "\n"
      "guest with e820_host: 4096 pages, at most 4096\n"
      "libxl: [mem 0x0000000000000000-0x0000000000ffffff] usable\n"
      "libxl: [mem 0x0000000001000000-0x00000000febfffff] unusable\n"
      "libxl: [mem 0x00000000fec00000-0x00000000fec00fff] reserved\n"
      "Released 0 page(s)\n"
      "Remapped 0 page(s)\n"
      "Xen: [mem 0x0000000000000000-0x000000000009ffff] usable\n"
      "Xen: [mem 0x00000000000a0000-0x00000000000fffff] reserved\n"
      "Xen: [mem 0x0000000000100000-0x0000000000ffffff] usable\n"
      "Xen: [mem 0x0000000001000000-0x00000000febfffff] unusable\n"
      "Xen: [mem 0x00000000fec00000-0x00000000fec00fff] reserved\n"
      "last_pfn: 0x1000\n"
      "identity: [0x1000->0xfec01] 1039361 pages\n"
      "identity: [0xfec01->]\n"
      "room to balloon in all: 0 pages\n"
      "max_pfn: 0x1000\n"
      "p2m area: 0x40000\n");
  EXPECT_EQ(outcome.err, "");
}

TEST_F(ClientE820Test, RealDom0LogGivesItsKernelsFigures) {
  const Outcome outcome =
      RunCli({"e820", "explain", kRealDom0, "--dom0-memory", "7024020k"});
  EXPECT_EQ(outcome.code, kExitDone) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("note: the log has no map of the hypervisor's"),
                    HasSubstr("Remapped 283999 page(s)\n"),
                    HasSubstr("identity: [0xbadf6->0xbae7f] 137 pages\n")));
}

TEST_F(ClientE820Test, SerialCaptureIsExplainedWithTheDom0ThatItHad) {
  const Outcome outcome = RunCli({"e820", "explain", kSerialCapture});
  EXPECT_EQ(outcome.code, kExitDone) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("machine: the hypervisor's map, lines 2 to 19"),
                    HasSubstr("note: dom0's map (lines 23 to 37) has "),
                    HasSubstr("dom0: 1014568 pages, at most 1048576\n"),
                    // As the capture has it.
                    HasSubstr("Xen: [mem "
                              "0x0000000100000000-0x0000000135af1fff] "
                              "usable\n"),
                    HasSubstr("max_pfn: 0x135af2\n")));
}

TEST_F(ClientE820Test, TrimmedMapGivesTheTargetsThatItsKernelHad) {
  // As Linux prints it with dom0_mem=1G,max:1G.
  const Outcome outcome =
      RunCli({"e820", "explain",
              Write("[    0.000000] Linux version 4.19.0 (a@b)\n"
                    "[    0.000000] Xen: [mem 0x0-0x9dfff] usable\n"
                    "[    0.000000] Xen: [mem 0x9e000-0xfffff] reserved\n"
                    "[    0.000000] Xen: [mem 0x100000-0x40061fff] usable\n"),
              "--dom0-memory", "1g"});
  EXPECT_EQ(outcome.code, kExitDone) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("note: the machine gets 158 pages of RAM more"),
                    HasSubstr("dom0: 262144 pages, "),
                    HasSubstr("Remapped 98 page(s)\n"),
                    HasSubstr("remap area: [0x40000->0x40062] 98 pages\n"),
                    HasSubstr("max_pfn: 0x40062\n")));
}

TEST_F(ClientE820Test, KernelOfTodayReservesTheIbftAreaUnlessTheLogSaysNo) {
  const std::string xen = Write(
      "(XEN)  [0000000000000000, 000000000009ffff] (usable)\n"
      "(XEN)  [0000000000100000, 000000003fffffff] (usable)\n");
  const auto remapped = [&xen](const std::string& ibft) {
    return RunCli({"e820", "explain", xen, "--dom0-ibft", ibft}).out;
  };
  EXPECT_THAT(remapped("auto"), HasSubstr("Remapped 128 page(s)\n"));
  EXPECT_THAT(remapped("on"), HasSubstr("Remapped 128 page(s)\n"));
  EXPECT_THAT(remapped("off"), HasSubstr("Remapped 96 page(s)\n"));
  EXPECT_EQ(RunCli({"e820", "explain", xen, "--dom0-ibft", "maybe"}).code,
            kExitUsage);
}

TEST_F(ClientE820Test, JsonHasTheSameFigures) {
  const Outcome outcome =
      RunCli({"-o", "json", "e820", "explain", kSerialCapture, "--guest-memory",
              "1g", "--guest-max-memory", "2g"});
  EXPECT_EQ(outcome.code, kExitDone) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("\"source\": \"the hypervisor's map\""),
                    HasSubstr("\"memory_pages\": 1014568"),
                    HasSubstr("\"max_memory_pages\": 524288"),
                    HasSubstr("\"given_map\": ["), HasSubstr("\"notes\": [")));
}

TEST_F(ClientE820Test, LogIsReadFromAFileOnlyAndErrorsHaveReasons) {
  Outcome outcome = RunCli({"e820", "explain", "/nowhere/log"});
  EXPECT_EQ(outcome.code, kExitFailed);
  EXPECT_THAT(outcome.err, HasSubstr("cannot read /nowhere/log"));
  outcome =
      RunCli({"e820", "explain", Write("BIOS-e820: [mem 0x0-0xfff] us\n")});
  EXPECT_EQ(outcome.code, kExitFailed);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("line 1: \"us\" is an unknown type"),
                                 HasSubstr("(E820_MALFORMED)\n")));
  outcome = RunCli({"e820", "explain", kSerialCapture, "--dom0-memory", "64g"});
  EXPECT_EQ(outcome.code, kExitFailed);
  EXPECT_THAT(outcome.err, HasSubstr("(HOST_MEMORY_EXHAUSTED)\n"));
  EXPECT_EQ(outcome.out, "");
}

TEST_F(ClientE820Test, SizesThatCannotBeReadAreUsageErrors) {
  for (const char* flag : {"--dom0-memory", "--dom0-max-memory"}) {
    EXPECT_EQ(RunCli({"e820", "explain", kSerialCapture, flag, "lots"}).code,
              kExitUsage)
        << flag;
  }
  EXPECT_EQ(
      RunCli({"e820", "explain", kSerialCapture, "--guest-max-memory", "1g"})
          .code,
      kExitUsage);
  const Outcome less =
      RunCli({"e820", "explain", kSerialCapture, "--guest-memory", "4g",
              "--guest-max-memory", "1g"});
  EXPECT_EQ(less.code, kExitUsage);
  EXPECT_THAT(less.err, HasSubstr("1g is less than --guest-memory, 4g"));
  EXPECT_EQ(RunCli({"e820", "explain"}).code, kExitUsage);
}

}  // namespace
}  // namespace simvisor::client
