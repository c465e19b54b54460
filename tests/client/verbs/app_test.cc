// The program as a whole, from arguments to exit code, against a daemon that is
// a few canned answers in this process.

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
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

grpc::Status Error(grpc::StatusCode code, const std::string& reason,
                   const std::string& message) {
  google::rpc::ErrorInfo info;
  info.set_domain("simvisor");
  info.set_reason(reason);
  google::rpc::Status details;
  details.add_details()->PackFrom(info);
  return {code, message, details.SerializeAsString()};
}

v1::Domain MakeDomain(uint32_t domid, const std::string& name) {
  v1::Domain domain;
  domain.set_domid(domid);
  domain.set_name(name);
  domain.set_vcpus(1);
  domain.set_state(v1::DOMAIN_STATE_RUNNING);
  domain.mutable_memory()->set_current_pages(256 * (domid + 1));
  return domain;
}

// Domains 0 to 4, named dom0 to dom4, listed two at a time.
class FakeDomains : public v1::DomainService::Service {
 public:
  grpc::Status ListDomains(grpc::ServerContext*,
                           const v1::ListDomainsRequest* request,
                           v1::ListDomainsResponse* response) override {
    const uint32_t first =
        request->page_token().empty() ? 0 : std::stoul(request->page_token());
    for (uint32_t id = first; id < first + 2 && id < 5; ++id) {
      *response->add_domains() = MakeDomain(id, "dom" + std::to_string(id));
    }
    if (first + 2 < 5) {
      response->set_next_page_token(std::to_string(first + 2));
    }
    return grpc::Status::OK;
  }

  grpc::Status GetDomain(grpc::ServerContext*,
                         const v1::GetDomainRequest* request,
                         v1::GetDomainResponse* response) override {
    if (request->domain().name() != "dom2" && request->domain().domid() != 2) {
      return NotFound();
    }
    *response->mutable_domain() = MakeDomain(2, "dom2");
    response->mutable_domain()->set_arch(v1::ARCH_X86_32_PAE);
    *response->mutable_domain()->mutable_balloon_driver() = driver;
    response->mutable_domain()->mutable_memory()->set_foreign_held_pages(
        foreign_held_pages);
    if (!booted) response->mutable_domain()->clear_balloon_driver();
    return grpc::Status::OK;
  }

  grpc::Status CreateDomain(grpc::ServerContext*,
                            const v1::CreateDomainRequest* request,
                            v1::CreateDomainResponse* response) override {
    created = *request;
    *response->mutable_domain() = MakeDomain(7, request->spec().name());
    return grpc::Status::OK;
  }

  grpc::Status DestroyDomain(grpc::ServerContext*,
                             const v1::DestroyDomainRequest*,
                             v1::DestroyDomainResponse*) override {
    return NotFound();
  }

  static grpc::Status NotFound() {
    return Error(grpc::StatusCode::NOT_FOUND, "DOMAIN_NOT_FOUND",
                 "no such domain");
  }

  v1::CreateDomainRequest created;
  v1::BalloonDriver driver;
  uint64_t foreign_held_pages = 0;
  bool booted = true;
};

class FakeHost : public v1::HostService::Service {
 public:
  grpc::Status GetHost(grpc::ServerContext*, const v1::GetHostRequest*,
                       v1::GetHostResponse* response) override {
    response->mutable_host()->set_total_pages(1024 * 256);
    response->mutable_host()->set_free_pages(512 * 256);
    return grpc::Status::OK;
  }

  grpc::Status AuditHost(grpc::ServerContext*, const v1::AuditHostRequest*,
                         v1::AuditHostResponse* response) override {
    response->set_clean(findings.empty());
    for (const std::string& finding : findings) {
      response->add_findings(finding);
    }
    return grpc::Status::OK;
  }

  grpc::Status ReadFrames(
      grpc::ServerContext*, const v1::ReadFramesRequest* request,
      grpc::ServerWriter<v1::ReadFramesResponse>* writer) override {
    for (const auto& extent : request->extents()) {
      v1::ReadFramesResponse response;
      response.add_frames()->set_mfn(extent.first_mfn());
      writer->Write(response);
    }
    return grpc::Status::OK;
  }

  std::vector<std::string> findings;
};

class FakeMemory : public v1::MemoryService::Service {
 public:
  grpc::Status SetMemoryTarget(grpc::ServerContext*,
                               const v1::SetMemoryTargetRequest* request,
                               v1::SetMemoryTargetResponse* response) override {
    response->mutable_memory()->set_target_pages(request->target_pages());
    response->mutable_memory()->set_current_pages(after_target);
    response->mutable_memory()->set_foreign_held_pages(foreign_held_pages);
    return grpc::Status::OK;
  }

  // Two responses whose runs adjoin.
  grpc::Status ListP2mRuns(
      grpc::ServerContext*, const v1::ListP2mRunsRequest*,
      grpc::ServerWriter<v1::ListP2mRunsResponse>* writer) override {
    for (const uint64_t pfn : {0, 256}) {
      v1::ListP2mRunsResponse response;
      auto* run = response.add_runs();
      run->set_first_pfn(pfn);
      run->set_count(256);
      run->set_p2m_class(v1::P2M_CLASS_RAM);
      run->set_first_frame(0x100 + pfn);
      writer->Write(response);
    }
    return grpc::Status::OK;
  }

  // Every slot but the first is refused.
  grpc::Status MapForeignFrames(
      grpc::ServerContext*, const v1::MapForeignFramesRequest* request,
      v1::MapForeignFramesResponse* response) override {
    mapped = *request;
    response->set_mapped_slots(1);
    response->set_failed_slots(
        static_cast<uint32_t>(request->slots_size() - 1));
    if (request->slots_size() == 1) return grpc::Status::OK;
    response->add_errors()->set_slot(1);
    response->mutable_errors(0)->set_reason("FRAME_NOT_FOREIGN");
    response->mutable_errors(0)->set_message("nobody's");
    return grpc::Status::OK;
  }

  grpc::Status UnmapForeignFrames(
      grpc::ServerContext*, const v1::UnmapForeignFramesRequest* request,
      v1::UnmapForeignFramesResponse* response) override {
    response->set_unmapped_slots(static_cast<uint32_t>(request->pfns_size()));
    response->set_freed_pages(1);
    return grpc::Status::OK;
  }

  // Frames below 10 are the domain's own, those below 20 identity.
  grpc::Status TranslateMfns(grpc::ServerContext*,
                             const v1::TranslateMfnsRequest* request,
                             v1::TranslateMfnsResponse* response) override {
    for (const uint64_t mfn : request->mfns()) {
      response->add_pfns(mfn < 20 ? mfn : UINT64_MAX);
      response->add_local_pfns(mfn < 10 ? mfn : UINT64_MAX);
    }
    return grpc::Status::OK;
  }

  uint64_t after_target = 256;
  uint64_t foreign_held_pages = 0;
  v1::MapForeignFramesRequest mapped;
};

class AppTest : public ::testing::Test {
 protected:
  AppTest() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
    builder.RegisterService(&domains_);
    builder.RegisterService(&host_);
    builder.RegisterService(&memory_);
    server_ = builder.BuildAndStart();
  }

  // Runs the program on the fake daemon; its output is in out_ and err_.
  int Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"-a", address_});
    return RunWithoutAddress(arguments);
  }

  int RunWithoutAddress(const std::vector<std::string>& arguments) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = RunApp(arguments, {.out = out, .err = err});
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  std::string WriteFile(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  ScopedFolder folder_;
  const std::string address_ = "unix:" + folder_ / "fake.sock";
  FakeDomains domains_;
  FakeHost host_;
  FakeMemory memory_;
  std::unique_ptr<grpc::Server> server_;
  std::string out_;
  std::string err_;
};

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
