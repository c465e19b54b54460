// What all verbs have in common; the verb run.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/client/verbs/verb_fixture.h"

namespace simvisor::client {
namespace {

using ProgramTest = VerbTest;

TEST_F(ProgramTest, CommandLines) {
  Begin("");
  RunWithoutAddress("--version");
  RunWithoutAddress("p2m walk -h");
  Note("A wrong line is reported, and nothing is sent");
  for (const char* line :
       {"", "nonsense", "p dump 0", "p2m", "p2m nonsense", "p2m foreign",
        "-o xml list", "--timeout -1 list", "-o json nonsense", "lst",
        "p2m dmup", "shutdown -a", "p2m shutdown", "p2m list", "-a list",
        "--adress unix:x list", "list --timeout=-1 -o json"}) {
    Run(line);
  }
  RunWithoutAddress("");
  Note("An unambiguous beginning of a verb stands for the verb");
  daemon_.Answer("ListDomains");
  Run("li");
  Run("dom dom2");
  Note("An unreachable daemon has its own exit code");
  RunWithoutAddress(absl::StrCat("-H unix:", folder_ / "none", " list"));
  RunWithoutAddress("-H nonsense list");
}

TEST_F(ProgramTest, Run) {
  Begin("run");
  daemon_.Answer("ListP2mRuns",
                 {"runs { count: 256 }", "runs { first_pfn: 256 count: 256 }"});
  daemon_.Refuse("DestroyDomain", grpc::StatusCode::NOT_FOUND,
                 "DOMAIN_NOT_FOUND", "no such domain");
  daemon_.Answer("AuditHost", {"clean: true"});
  VerbTest::Run("run " + WriteFile("a.textproto", R"(
    title: "demo"
    steps { name: "dump" list_p2m_runs { expect { runs { count: 256 }
                                                  runs { count: 256 } } } }
    steps { destroy_domain {} expect_error { reason: "DOMAIN_NOT_FOUND" } }
    steps { name: "audit" audit_host { expect { clean: false } } })"));
}

TEST(VerbsTest, EveryVerbHasATranscript) {
  for (const std::string& verb : AllVerbs()) {
    const std::string name =
        absl::StrReplaceAll(verb, {{" ", "_"}, {"-", "_"}});
    EXPECT_TRUE(std::filesystem::exists(
        absl::StrCat("tests/testdata/goldens/verbs/", name, ".txt")))
        << "no test runs the verb " << verb;
  }
}

}  // namespace
}  // namespace simvisor::client
