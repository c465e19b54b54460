// What all verbs have in common; the verb run.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/app.h"
#include "client/ui/command_line.h"
#include "client/ui/exit_code.h"
#include "client/ui/json.h"
#include "client/verbs/commands.h"
#include "tests/client/verbs/verb_fixture.h"

namespace simvisor::client {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

using ProgramTest = VerbTest;

TEST_F(ProgramTest, CommandLines) {
  Begin("");
  RunWithoutAddress("--version");
  RunWithoutAddress("p2m walk -h");
  Note("A wrong line is reported, and nothing is sent");
  for (const char* line : {"",
                           "nonsense",
                           "p dump 0",
                           "p2m",
                           "p2m nonsense",
                           "p2m foreign",
                           "-o xml list",
                           "--timeout -1 list",
                           "-o json nonsense",
                           "lst",
                           "p2m dmup",
                           "shutdown -a",
                           "cons web",
                           "p2m shutdown",
                           "p2m list",
                           "-a list",
                           "--adress unix:x list",
                           "list --timeout=-1 -o json",
                           "balloon web down 8m",
                           "p2m 3 foreign map 1 2",
                           "web pause",
                           "-o json guest web load",
                           "list --jsn",
                           "list --verbos=1"}) {
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

TEST_F(ProgramTest, Help) {
  Begin("help");
  Note("The same as --help after the verb");
  RunWithoutAddress("help domid");
  RunWithoutAddress("-o json hel p2m stat");
  Note("... whose mistakes are those of the verb");
  for (const char* line : {"help lst", "help uptime", "help p2m list"}) {
    RunWithoutAddress(line);
  }
}

TEST_F(ProgramTest, Version) {
  Begin("version");
  RunWithoutAddress("version");
  RunWithoutAddress("version -o json");
}

std::string OutputOf(const std::string& name, const std::string& line,
                     int code) {
  std::ostringstream out, err;
  EXPECT_EQ(RunApp(SplitWords(line), {.out = out, .err = err}, name), code)
      << line;
  return code == kExitDone ? out.str() : err.str();
}

TEST_F(ProgramTest, HelpOfTheProgramIsTheSameInEveryForm) {
  const std::string help = OutputOf("simvisor", "--help", kExitDone);
  for (const char* line : {"-h", "help", "help --long", "-v help"}) {
    EXPECT_EQ(OutputOf("simvisor", line, kExitDone), help) << line;
  }
  EXPECT_EQ(OutputOf("simvisor", "", kExitUsage), help);
  EXPECT_EQ(OutputOf("simvisor", "-vN", kExitUsage), help);
}

TEST_F(ProgramTest, OutputThatCannotBeWrittenFailsWithTheReason) {
  daemon_.Answer("ListDomains");
  for (const char* line : {"list", "--help", "-o json list"}) {
    std::vector<std::string> words = SplitWords(line);
    words.insert(words.begin(), {"-H", address_});
    std::ofstream full("/dev/full");
    std::ostringstream err;
    EXPECT_EQ(RunApp(words, {.out = full, .err = err}), kExitFailed) << line;
    EXPECT_THAT(err.str(),
                HasSubstr("cannot write to standard output: No space left on "
                          "device"))
        << line;
  }
}

TEST_F(ProgramTest, EmptyAddressIsNotTheDefault) {
  for (const char* line : {"-H '' list", "--address '' list"}) {
    EXPECT_THAT(OutputOf("simvisor", line, kExitUsage),
                HasSubstr("--address is empty; give unix:PATH or HOST:PORT"))
        << line;
  }
}

TEST_F(ProgramTest, XlsOptionsBeforeTheVerbChangeNothing) {
  daemon_.Answer("ListDomains");
  for (const char* line : {"-v list", "-vvv -f -t list", "-vftT -o text list",
                           "-f list -l", "-v li"}) {
    EXPECT_EQ(RunUnseen(line), kExitDone) << line;
  }
  EXPECT_EQ(RunUnseen("-x list"), kExitUsage);
  // The value of an option is not an option.
  EXPECT_THAT(OutputOf("simvisor", "-o -t list", kExitUsage), HasSubstr("-o"));
}

TEST_F(ProgramTest, LongOptionsMayBeAbbreviatedAsForXl) {
  daemon_.Answer("CreateDomain", {"domain { domid: 7 }"});
  daemon_.Answer("ListDomains");
  daemon_.Answer("BalloonDown");
  const std::string file = WriteFile("a.cfg", "name = \"web\"\n");
  for (const std::string& line : std::vector<std::string>{
           "create -q --pau " + file, "cre --qui --paused " + file,
           "create --quiet --vnc --def=" + file, "create -q --defc " + file,
           "balloon down web 1 --part", "list --outp text",
           "--outp=text --time 5 list", "list --timeo=5 --lon"}) {
    EXPECT_EQ(RunUnseen(line), kExitDone) << line;
  }
  EXPECT_THAT(daemon_.TakeRequests(),
              testing::Contains(HasSubstr("start_paused: true")));
}

TEST_F(ProgramTest, AbbreviationsOfSeveralOptionsNameThem) {
  EXPECT_EQ(OutputOf("simvisor", "fault add save.piece --c 1", kExitUsage),
            "simvisor: '--c' may be --crash or --count\n");
  EXPECT_EQ(OutputOf("simvisor", "--outp=text --zz list", kExitUsage),
            "simvisor: no option is named '--zz'; those of a command "
            "follow its name; see --help\n");
}

TEST_F(ProgramTest, ValuesAndNamesAfterTwoDashesAreNotAbbreviations) {
  daemon_.Answer("PauseDomain");
  EXPECT_EQ(RunUnseen("pause -- --outp"), kExitDone);
  EXPECT_THAT(OutputOf("simvisor", "create --defconfig --pau", kExitFailed),
              HasSubstr("cannot read --pau"));
}

TEST_F(ProgramTest, DryRunIsRefusedByVerbsThatHaveNone) {
  for (const auto& [line, verb] :
       std::vector<std::pair<const char*, const char*>>{
           {"-N list", "list"},
           {"-vN dest web", "destroy"},
           {"-N -o json p2m dump web", "dump"}}) {
    EXPECT_THAT(OutputOf("xl", line, kExitUsage),
                HasSubstr(absl::StrCat(
                    verb, " has no dry run; -N goes with create and vcpu-pin")))
        << line;
  }
}

TEST_F(ProgramTest, SpeaksOfItselfAsItIsCalled) {
  EXPECT_EQ(ProgramName("/usr/sbin/xl"), "xl");
  EXPECT_EQ(ProgramName("xl"), "xl");
  EXPECT_EQ(ProgramName("bin/simvisor"), "simvisor");
  EXPECT_EQ(ProgramName("xl/simvisor-copy"), "simvisor");
  EXPECT_EQ(ProgramName(""), "simvisor");
  for (const char* line : {"--help", "create --help", "help p2m"}) {
    const std::string help = OutputOf("xl", line, kExitDone);
    EXPECT_THAT(help, HasSubstr("Usage: xl")) << line;
    EXPECT_THAT(help, Not(HasSubstr("simvisor create"))) << line;
  }
  EXPECT_EQ(OutputOf("xl", "mem-set web 5x", kExitUsage),
            "xl mem-set: web: invalid memory size: 5x; give MiB as a whole "
            "decimal number, or one with t, g, m, k or b\n"
            "Run 'xl mem-set --help' for its arguments.\n");
  EXPECT_EQ(OutputOf("xl", "lst", kExitUsage),
            "xl: no command is named 'lst'; did you mean 'list'?  See "
            "--help\n");
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
  VerbTest::Run("run " + WriteFile("web.cfg", "name=\"web\"\nmemory=16\n"));
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

// The reason of the JSON error that a line ends with.
std::string ReasonOfLine(const std::string& line, int code) {
  std::istringstream lines(OutputOf("simvisor", "-o json " + line, code));
  std::string one, last;
  while (std::getline(lines, one)) last = one;
  const Json json = Json::parse(last, nullptr, /*allow_exceptions=*/false);
  return json.is_object() ? json["reason"] : Json(last);
}

TEST_F(ProgramTest, OwnErrorsHaveReasonsInJson) {
  const std::string none = folder_ / "none";
  const std::string bad = WriteFile("bad", "what is this\n");
  const std::string daemon = absl::StrCat("-H ", address_, " ");
  EXPECT_EQ(
      ReasonOfLine(absl::StrCat("-H unix:", none, " list"), kExitUnreachable),
      "DAEMON_UNREACHABLE");
  for (const std::string verb :
       {"create ", "restore ", "run ", "batch ", "e820 explain "}) {
    EXPECT_EQ(ReasonOfLine(daemon + verb + none, kExitFailed), "FILE_FAILED");
  }
  EXPECT_EQ(ReasonOfLine(daemon + "create " + bad, kExitFailed),
            "CONFIG_INVALID");
  EXPECT_EQ(ReasonOfLine(daemon + "restore " + bad + " " + bad, kExitFailed),
            "CONFIG_INVALID");
  EXPECT_EQ(ReasonOfLine(daemon + "run " + bad, kExitFailed), "SCRIPT_INVALID");
  EXPECT_EQ(ReasonOfLine(daemon + "batch " + bad, kExitFailed),
            "PARTLY_FAILED");
  daemon_.Answer("AuditHost", {"clean: false findings: 'x'"});
  EXPECT_EQ(ReasonOfLine(daemon + "audit", kExitFailed), "CHECK_FAILED");
  EXPECT_EQ(ReasonOfLine(daemon + "run " +
                             WriteFile("s",
                                       "steps { audit_host { expect { "
                                       "clean: true } } }"),
                         kExitFailed),
            "STEP_FAILED");
  daemon_.Answer("TranslatePfns", {"classes: P2M_CLASS_RAM"});
  EXPECT_EQ(ReasonOfLine(daemon + "p2m lookup web 1", kExitFailed),
            "RESPONSE_INVALID");
}

TEST_F(ProgramTest, ResponseThatDiffersInManyPlacesIsCutInText) {
  const auto list = [](const char* one) {
    std::string text;
    for (int i = 0; i < 30; ++i) absl::StrAppend(&text, one, " ");
    return text;
  };
  daemon_.Answer("TranslatePfns",
                 {list("classes: P2M_CLASS_RAM frames: 1") + " "});
  const std::string script = WriteFile(
      "s", absl::StrCat("steps { translate_pfns { request { ", list("pfns: 1"),
                        "} expect { ", list("frames: 2"), "} } }"));
  std::ostringstream out, err;
  EXPECT_EQ(RunApp({"-H", address_, "run", script}, {.out = out, .err = err}),
            kExitFailed);
  EXPECT_THAT(out.str(),
              HasSubstr("frames[8]: 2 -> 1\n     ... and 21 more\n"));
  std::ostringstream json;
  EXPECT_EQ(RunApp({"-H", address_, "-o", "json", "run", script},
                   {.out = json, .err = err}),
            kExitFailed);
  EXPECT_EQ(Json::parse(json.str())["steps"][0]["faults"].size(), 31u);
}

TEST_F(ProgramTest, LongListOfErrorsIsCutInText) {
  std::string text;
  for (int i = 0; i < 140; ++i) text += "steps {}\n";
  const std::string script = WriteFile("s", text);
  std::ostringstream out, err, json;
  EXPECT_EQ(RunApp({"run", script}, {.out = out, .err = err}), kExitFailed);
  EXPECT_THAT(err.str(), EndsWith("step 10: the step has no call\n"
                                  "... and 130 more\n"));
  EXPECT_EQ(RunApp({"-o", "json", "run", script}, {.out = out, .err = json}),
            kExitFailed);
  const std::string message = Json::parse(json.str())["message"];
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 139);
}

TEST_F(ProgramTest, ListOfAThousandErrorsIsCutInJsonToo) {
  std::string text;
  for (int i = 0; i < 1140; ++i) text += "steps {}\n";
  std::ostringstream out, json;
  EXPECT_EQ(RunApp({"-o", "json", "run", WriteFile("s", text)},
                   {.out = out, .err = json}),
            kExitFailed);
  const std::string message = Json::parse(json.str())["message"];
  EXPECT_THAT(message, EndsWith("step 1000: the step has no call\n"
                                "... and 140 more"));
}

TEST_F(ProgramTest, LongReportIsCutInTextButKeepsItsHints) {
  std::string text = "import os\n";
  for (int i = 2; i <= 25; ++i) absl::StrAppend(&text, "root:x:", i, "\n");
  std::ostringstream out, err;
  EXPECT_EQ(
      RunApp({"create", WriteFile("a.cfg", text)}, {.out = out, .err = err}),
      kExitFailed);
  EXPECT_THAT(err.str(), HasSubstr("\n... and 15 more\nwarning: "));
  EXPECT_THAT(err.str(), Not(HasSubstr("a.cfg:11: ")));
}

TEST(ForEachTest, GoesOnAfterAFailureButNotWithoutADaemon) {
  std::ostringstream out, err;
  Session session({.out = out, .err = err});
  const std::vector<std::string> items = {"one", "two", "three", "four"};
  std::vector<std::string> tried;
  const absl::Status status = ForEach(
      session, items, "moved", [&](const std::string& item) -> absl::Status {
        tried.push_back(item);
        if (item == "two") return absl::NotFoundError("no two");
        if (item == "three") return absl::UnavailableError("gone");
        return absl::OkStatus();
      });
  EXPECT_EQ(ExitCode(status), kExitUnreachable);
  EXPECT_EQ(tried, (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(err.str(), "no two\nnote: 1 of 4 moved\n");
}

TEST(ForEachTest, EndsOnceASignalHasCancelledACall) {
  std::ostringstream out, err;
  Session session({.out = out, .err = err});
  const std::vector<std::string> items = {"one", "two", "three"};
  std::vector<std::string> tried;
  const absl::Status status = ForEach(
      session, items, "moved", [&](const std::string& item) -> absl::Status {
        tried.push_back(item);
        return item == "two" ? absl::CancelledError("interrupted")
                             : absl::OkStatus();
      });
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(tried, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(err.str(), "note: 1 of 3 moved\n");
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
