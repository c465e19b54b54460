// What all verbs have in common; the verb run.

#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/app.h"
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
        "p2m dmup", "shutdown web", "p2m shutdown",
        "list --timeout=-1 -o json"}) {
    Run(line);
  }
  RunWithoutAddress("");
  Note("An unambiguous beginning of a verb stands for the verb");
  daemon_.Answer("ListDomains");
  Run("li");
  Run("dom dom2");
  Note("An unreachable daemon has its own exit code");
  RunWithoutAddress(absl::StrCat("-a unix:", folder_ / "none", " list"));
  RunWithoutAddress("-a nonsense list");
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
  daemon_.Answer("CreateDomain", {"domain { domid: 7 }"});
  daemon_.Refuse("GetDomain", grpc::StatusCode::NOT_FOUND, "DOMAIN_NOT_FOUND",
                 "no such domain");
  daemon_.Answer("GetDomain", {"domain { domid: 7 }"});
  const std::string script = WriteFile("b.textproto", R"(
    steps { create_domain {} save { name: "id" field: "domain.domid" } }
    steps { audit_host { expect { clean: false } } }
    steps { poll { timeout_ms: 60000 interval_ms: 10 }
            get_domain { request { domain { name: "web-${id}" } } } }
    cleanup { destroy_domain {}
              set { field: "request.domain.domid" variable: "id" } }
    cleanup { name: "sound" audit_host { expect { clean: true } } })");
  Note("Cleanup steps run after the first step that fails");
  VerbTest::Run("run " + script);
  Note("The steps after it run too");
  VerbTest::Run("run --keep-going " + script);
  Note("A step whose variable was not saved is skipped");
  daemon_.Forget("CreateDomain");
  daemon_.Refuse("CreateDomain", grpc::StatusCode::RESOURCE_EXHAUSTED,
                 "HOST_MEMORY_EXHAUSTED", "no frames");
  VerbTest::Run("run " + script);
  VerbTest::Run("-o json run -k " + script);
  Note("Nothing is called if any step is wrong");
  VerbTest::Run("run " + WriteFile("c.textproto", R"(
    steps { get_host {} }
    steps { poll { timeout_ms: 0 } get_host {} }
    cleanup { name: "no call" })"));
}

// The verbs that `help` lists.
std::vector<std::string> VerbsIn(const std::string& help) {
  std::vector<std::string> verbs;
  bool listed = false;
  for (const absl::string_view line : absl::StrSplit(help, '\n')) {
    if (listed && !absl::StartsWith(line, "  ")) break;
    if (listed && line.size() > 2 && line[2] != ' ') {
      verbs.emplace_back(line.substr(2, line.find(' ', 2) - 2));
    }
    listed |= line == "Subcommands:";
  }
  return verbs;
}

void ExpectGoldens(const std::vector<std::string>& words) {
  std::vector<std::string> help = words;
  help.push_back("--help");
  std::ostringstream out;
  ASSERT_EQ(RunApp(help, {.out = out, .err = out}), 0) << out.str();
  const std::vector<std::string> verbs = VerbsIn(out.str());
  for (const std::string& verb : verbs) {
    std::vector<std::string> below = words;
    below.push_back(verb);
    ExpectGoldens(below);
  }
  if (!verbs.empty()) return;
  const std::string name =
      absl::StrReplaceAll(absl::StrJoin(words, "_"), {{"-", "_"}});
  EXPECT_TRUE(std::filesystem::exists(
      absl::StrCat("tests/testdata/goldens/verbs/", name, ".txt")))
      << "no test runs the verb " << name;
}

TEST(VerbsTest, EveryVerbHasATranscript) { ExpectGoldens({}); }

}  // namespace
}  // namespace simvisor::client
