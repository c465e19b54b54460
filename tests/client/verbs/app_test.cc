// The commands as a whole, against fakes of the services.

#include "client/app.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "client/ui/exit_code.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "simvisor/v1/domain_service.grpc.pb.h"
#include "simvisor/v1/host_service.grpc.pb.h"
#include "simvisor/v1/memory_service.grpc.pb.h"
#include "tests/client/verbs/app_fixture.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

TEST_F(AppTest, ListShowsEveryPage) {
  EXPECT_EQ(Run({"list"}), kExitDone);
  EXPECT_THAT(out_, AllOf(StartsWith("Name "), HasSubstr("\ndom0 "),
                          HasSubstr("\ndom4 ")));
  EXPECT_EQ(err_, "");
}

TEST_F(AppTest, VerboseListNamesTheAbi) {
  EXPECT_EQ(Run({"list", "-v", "dom2"}), kExitDone);
  EXPECT_THAT(out_, AllOf(HasSubstr(" ABI\n"), HasSubstr(" x86_32_pae\n")));
}

TEST_F(AppTest, JsonKeepsNamesAndDefaults) {
  EXPECT_EQ(Run({"list", "dom2", "-o", "json"}), kExitDone);
  EXPECT_THAT(out_, AllOf(HasSubstr("\"current_pages\": \"768\""),
                          HasSubstr("\"balloon_pages\": \"0\"")));
}

TEST_F(AppTest, ListOfAMissingDomainFailsInXlsWords) {
  EXPECT_EQ(Run({"list", "999"}), kExitFailed);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, AllOf(HasSubstr("Error: Domain '999' does not exist.\n"),
                          HasSubstr("(DOMAIN_NOT_FOUND)")));
}

TEST_F(AppTest, UnknownNameIsAnInvalidIdentifier) {
  EXPECT_EQ(Run({"destroy", "nobody"}), kExitFailed);
  EXPECT_EQ(err_,
            "destroy failed (rc=-21)\n"
            "nobody is an invalid domain identifier (rc=-6)\n"
            "no such domain (DOMAIN_NOT_FOUND)\n");
}

TEST_F(AppTest, DomidAndDomnameTranslate) {
  EXPECT_EQ(Run({"domid", "dom2"}), kExitDone);
  EXPECT_EQ(out_, "2\n");
  EXPECT_EQ(Run({"domname", "2"}), kExitDone);
  EXPECT_EQ(out_, "dom2\n");
  EXPECT_EQ(Run({"domid", "nobody"}), kExitFailed);
  EXPECT_THAT(err_, HasSubstr("Can't get domid of domain name 'nobody'"));
}

TEST_F(AppTest, InfoPrintsOneValueOnRequest) {
  EXPECT_EQ(Run({"info", "free_memory"}), kExitDone);
  EXPECT_EQ(out_, "512\n");
  EXPECT_EQ(Run({"info", "free"}), kExitFailed);
  EXPECT_THAT(err_, HasSubstr("no value is named 'free'"));
}

TEST_F(AppTest, CreateSendsWhatTheFileSays) {
  const std::string file =
      WriteFile("a.cfg", "name = \"web\"\nmemory = 64\nbogus = 1\n");
  EXPECT_EQ(Run({"create", file, "memory=32", "-p"}), kExitDone);
  EXPECT_EQ(domains_.created.spec().name(), "web");
  EXPECT_EQ(domains_.created.spec().memory_pages(), 32 * 256u);
  EXPECT_TRUE(domains_.created.start_paused());
  EXPECT_THAT(err_, AllOf(StartsWith("Parsing config from " + file + "\n"),
                          HasSubstr("unknown key 'bogus'")));
}

TEST_F(AppTest, DryRunSendsNothing) {
  const std::string file = WriteFile("a.cfg", "name = \"web\"");
  server_->Shutdown();
  EXPECT_EQ(Run({"create", "-n", file}), kExitDone);
  EXPECT_THAT(out_, HasSubstr("\"memory_pages\": \"8192\""));
}

TEST_F(AppTest, BadConfigFailsAndMissingFileIsNamed) {
  EXPECT_EQ(Run({"create", WriteFile("a.cfg", "memory = 64")}), kExitFailed);
  EXPECT_THAT(err_, HasSubstr("Domain name must be specified."));
  EXPECT_EQ(Run({"create", folder_ / "none.cfg"}), kExitFailed);
  EXPECT_THAT(err_, HasSubstr("none.cfg: No such file or directory"));
}

TEST_F(AppTest, ShortMoveOfMemSetIsNotedButNoError) {
  EXPECT_EQ(Run({"mem-set", "dom2", "2"}), kExitDone);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, HasSubstr("note: dom2 has 1 MiB, its target is 2 MiB"));
  EXPECT_EQ(Run({"mem-set", "dom2", "2x"}), kExitFailed);
  EXPECT_THAT(err_, StartsWith("invalid memory size: 2x"));
}

TEST_F(AppTest, DumpMergesRunsOfTwoResponses) {
  EXPECT_EQ(Run({"p2m", "dump", "dom2"}), kExitDone);
  EXPECT_EQ(out_, " [0x0->0x200] pfn\n");
}

TEST_F(AppTest, MapFitsTheWidthThatIsAskedFor) {
  EXPECT_EQ(Run({"p2m", "map", "dom2", "--width", "20"}), kExitDone);
  EXPECT_THAT(out_, StartsWith("p2m of dom2: 512 pfns, 2 MiB; a cell is 4 (4 "
                               "pages)\n  0x0 RRRRRRRR\n 0x20 RRRRRRRR\n"));
  EXPECT_EQ(Run({"p2m", "map", "dom2", "-o", "json"}), kExitDone);
  EXPECT_THAT(out_, HasSubstr("\"cell_pfns\": 1"));
  EXPECT_EQ(Run({"p2m", "map", "dom2", "--width", "0"}), kExitUsage);
}

TEST_F(AppTest, ForeignMapFillsPfnsInOrderAndSaysWhatFailed) {
  EXPECT_EQ(Run({"p2m", "foreign", "map", "dom2", "0x10", "7"}), kExitDone);
  EXPECT_THAT(out_, HasSubstr("dom2: 1 of 1 pages mapped"));
  EXPECT_EQ(Run({"p2m", "foreign", "map", "dom2", "0x10", "7", "0x20+2"}),
            kExitFailed);
  ASSERT_EQ(memory_.mapped.slots_size(), 3);
  EXPECT_EQ(memory_.mapped.slots(2).pfn(), 0x12u);
  EXPECT_EQ(memory_.mapped.slots(2).mfn(), 0x21u);
  EXPECT_THAT(out_, HasSubstr("dom2: 1 of 3 pages mapped"));
  EXPECT_THAT(err_, AllOf(HasSubstr("nobody's (FRAME_NOT_FOREIGN)\n"
                                    "and 1 more\n"),
                          HasSubstr("2 of 3 pages failed")));
  EXPECT_EQ(Run({"-o", "json", "p2m", "foreign", "map", "dom2", "1", "7+2"}),
            kExitFailed);
  EXPECT_THAT(out_, HasSubstr("\"failed_slots\": 1"));
}

TEST_F(AppTest, ForeignUnmapTellsWhatWentBack) {
  EXPECT_EQ(Run({"p2m", "foreign", "unmap", "dom2", "0x10+4", "9"}), kExitDone);
  EXPECT_EQ(out_,
            "dom2: 5 of 5 pages unmapped, 1 frames went back to the pool\n");
}

TEST_F(AppTest, MfnsAreShownAsTheGuestTakesThem) {
  EXPECT_EQ(Run({"p2m", "mfn", "dom2", "7", "0x10", "99"}), kExitDone);
  EXPECT_EQ(out_,
            "0x7  pfn 0x7\n"
            "0x10  pfn 0x10, not the domain's own\n"
            "0x63  none\n");
}

TEST_F(AppTest, ZeroFrameReadsAsZeros) {
  EXPECT_EQ(Run({"frames", "read", "0x40"}), kExitDone);
  EXPECT_THAT(out_, AllOf(StartsWith("mfn 0x40\n00000000  00 00"),
                          HasSubstr("\n*\n00001000\n")));
}

TEST_F(AppTest, AuditWithFindingsFails) {
  EXPECT_EQ(Run({"audit"}), kExitDone);
  EXPECT_THAT(out_, StartsWith("clean: "));
  host_.findings = {"frame 0x1 is owned twice"};
  EXPECT_EQ(Run({"audit"}), kExitFailed);
  EXPECT_THAT(out_, StartsWith("frame 0x1 is owned twice\n"));
  EXPECT_THAT(err_, HasSubstr("1 invariants do not hold"));
}

TEST_F(AppTest, ScriptRunsAgainstTheDaemon) {
  const std::string file = WriteFile("a.textproto", R"(
    title: "demo"
    steps { name: "dump" list_p2m_runs { expect { runs { count: 256 }
                                                  runs { count: 256 } } } }
    steps { destroy_domain {} expect_error { reason: "DOMAIN_NOT_FOUND" } }
    steps { name: "audit" audit_host { expect { clean: false } } })");
  EXPECT_EQ(Run({"run", file}), kExitFailed);
  EXPECT_THAT(out_, AllOf(StartsWith("demo\n"), HasSubstr("ok   1/3 dump ("),
                          HasSubstr("ok   2/3 DestroyDomain ("),
                          HasSubstr("FAIL 3/3 audit ("),
                          HasSubstr("clean: false -> true")));
  EXPECT_THAT(err_, HasSubstr("step 3 of 3 does not hold"));
}

TEST_F(AppTest, MethodThatTheDaemonLacksIsNamedByItsCode) {
  EXPECT_EQ(Run({"pause", "dom2"}), kExitFailed);
  EXPECT_THAT(err_, HasSubstr("(UNIMPLEMENTED)"));
}

TEST_F(AppTest, DaemonOutOfReachHasAnExitCodeOfItsOwn) {
  server_->Shutdown();
  EXPECT_EQ(RunWithoutAddress({"-a", "unix:" + folder_ / "none", "list"}),
            kExitUnreachable);
  EXPECT_EQ(err_, "cannot reach unix:" + folder_ / "none" +
                      ": No such file or directory; is simvisord running?\n");
}

TEST_F(AppTest, WrongCommandLinesAreUsageErrors) {
  const std::vector<std::vector<std::string>> kWrong = {
      {},
      {"nonsense"},
      {"p", "dump", "0"},
      {"list", "--nonsense"},
      {"destroy"},
      {"destroy", "a", "b"},
      {"p2m"},
      {"p2m", "nonsense"},
      {"p2m", "lookup", "dom2", "x"},
      {"p2m", "set", "dom2", "1", "1", "nonsense"},
      {"p2m", "set", "dom2", "1", "1", "ram"},
      {"p2m", "set", "dom2", "1", "1", "missing", "7"},
      {"p2m", "foreign"},
      {"p2m", "foreign", "map", "dom2", "1"},
      {"p2m", "foreign", "map", "dom2", "1", "7+70000"},
      {"p2m", "foreign", "map", "dom2", "1", "7+0"},
      {"p2m", "foreign", "unmap", "dom2", "x+1"},
      {"p2m", "mfn", "dom2"},
      {"balloon", "up", "dom2", "1x"},
      {"guest", "write", "dom2", "1"},
      {"guest", "write", "dom2", "1", "text", "--hex", "00"},
      {"-o", "xml", "list"},
      {"--timeout", "-1", "list"},
      {"list", "4294967296"}};
  for (const auto& arguments : kWrong) {
    EXPECT_EQ(Run(arguments), kExitUsage)
        << ::testing::PrintToString(arguments);
    EXPECT_NE(err_, "") << ::testing::PrintToString(arguments);
    EXPECT_EQ(out_, "") << ::testing::PrintToString(arguments);
  }
  EXPECT_EQ(RunWithoutAddress({"-a", "nonsense", "list"}), kExitUsage);
}

TEST_F(AppTest, UnambiguousBeginningsOfVerbsAreVerbs) {
  EXPECT_EQ(Run({"li"}), kExitDone);
  EXPECT_EQ(Run({"p2m", "d", "dom2"}), kExitDone);
  EXPECT_EQ(Run({"dom", "dom2"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("'dom' may be domid or domname"));
}

TEST_F(AppTest, HelpAndVersionSucceedOnStandardOutput) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--help"},
                                             {"create", "--help"},
                                             {"p2m", "walk", "-h"},
                                             {"--version"}}) {
    EXPECT_EQ(RunWithoutAddress(arguments), kExitDone);
    EXPECT_NE(out_, "");
    EXPECT_EQ(err_, "");
  }
}

TEST_F(AppTest, BalloonStateShowsTheDriversOwnFigures) {
  v1::BalloonDriver& driver = domains_.driver;
  driver.set_current_pages(768);
  driver.set_target_pages(868);
  driver.set_low_pages(900);
  domains_.foreign_held_pages = 5;
  driver.set_state(v1::BALLOON_STATE_AGAIN);
  driver.set_schedule_delay_seconds(4);
  auto* region = driver.add_extra_regions();
  region->set_first_pfn(0x300);
  region->set_count(1000);
  EXPECT_EQ(Run({"balloon", "state", "dom2"}), kExitDone);
  EXPECT_THAT(
      out_,
      AllOf(HasSubstr("state                  : AGAIN\n"),
            HasSubstr("credit                 : 100 pages (to get)\n"),
            HasSubstr("current                : 768 pages, and 5 given back "
                      "that other domains map\n"),
            HasSubstr("target                 : 868 pages\n"),
            HasSubstr("schedule_delay         : 4 s\n"),
            HasSubstr("max_retry_count        : 0 (any number)\n"),
            HasSubstr("extra_regions          : [0x300->0x6e8] 1000 pages")));
  EXPECT_EQ(Run({"balloon", "state", "dom2", "-o", "json"}), kExitDone);
  EXPECT_THAT(out_, AllOf(HasSubstr("\"low_pages\": \"900\""),
                          HasSubstr("\"state\": \"BALLOON_STATE_AGAIN\"")));
}

TEST_F(AppTest, BalloonStateOfAGuestThatHasNotBootedSaysSo) {
  domains_.booted = false;
  EXPECT_EQ(Run({"balloon", "state", "dom2"}), kExitFailed);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, HasSubstr("has not booted"));
  EXPECT_EQ(Run({"balloon", "state"}), kExitUsage);
}

TEST_F(AppTest, ShortMemSetSaysWhatTheDriverDoesNext) {
  domains_.driver.set_state(v1::BALLOON_STATE_AGAIN);
  domains_.driver.set_schedule_delay_seconds(8);
  EXPECT_EQ(Run({"mem-set", "dom2", "64"}), kExitDone);
  EXPECT_THAT(err_, HasSubstr("had too few pages; it tries again within 8 s"));
  domains_.driver.set_state(v1::BALLOON_STATE_CANCELLED);
  EXPECT_EQ(Run({"mem-set", "dom2", "64"}), kExitDone);
  EXPECT_THAT(err_, HasSubstr("cannot grow; it has given up"));
  domains_.driver.set_target_pages(1);
  EXPECT_EQ(Run({"mem-set", "dom2", "64"}), kExitDone);
  EXPECT_THAT(err_, HasSubstr("lent out for foreign mappings"));
  domains_.driver.set_low_pages(1);
  EXPECT_EQ(Run({"mem-set", "dom2", "64"}), kExitDone);
  EXPECT_THAT(err_, HasSubstr("has given up for an hour"));
}

TEST_F(AppTest, PagesThatOtherDomainsMapAreNoShortMove) {
  memory_.foreign_held_pages = 256;
  memory_.after_target = 768;
  EXPECT_EQ(Run({"mem-set", "dom2", "2"}), kExitDone);
  EXPECT_EQ(err_, "");
}

}  // namespace
}  // namespace simvisor::client
