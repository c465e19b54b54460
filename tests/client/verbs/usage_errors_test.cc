// Arguments that cannot be read, of every verb: nothing is sent, the exit code
// is 2, and the message names the command, the domain and what is wrong.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/app.h"
#include "client/ui/command_line.h"
#include "client/ui/exit_code.h"
#include "client/ui/json.h"
#include "tests/client/verbs/verb_fixture.h"

namespace simvisor::client {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

struct Mistake {
  const char* line;  // GOOD and CFG stand for files
  const char* begin;
  const char* names;
};

constexpr Mistake kSizes[] = {
    {"mem-set small 512x", "mem-set: small: invalid memory size: 512x", ""},
    {"mem-set small ''", "mem-set: small: ", "invalid memory size: "},
    {"mem-set small -- -5", "mem-set: small: ", "-5"},
    {"mem-set 3 99999999999999999999", "mem-set: 3: ", "99999999999999999999"},
    {"mem-max small lots", "mem-max: small: ", "lots"},
    {"mem-max small 1.5g", "mem-max: small: ", "1.5g"},
    {"balloon down small 512x", "balloon down: small: ", "512x"},
    {"balloon up small 4097b", "balloon up: small: ", "4097b"},
    {"migrate small host:1 --bandwidth fast", "migrate: small: ", "fast"},
    {"guest load small --working-set 64x", "guest load: small: ", "64x"},
    {"migrate small host:1 --bandwidth 1.5g",
     "migrate: small: --bandwidth: ", "number of bytes"},
    {"e820 explain CFG --dom0-memory 1x",
     "e820 explain: --dom0-memory: ", "1x"},
    {"e820 explain CFG --guest-memory 1g --guest-max-memory x",
     "e820 explain: --guest-max-memory: ", "x"},
};

constexpr Mistake kNumbers[] = {
    {"p2m lookup small ten", "p2m lookup: small: ", "ten"},
    {"p2m lookup small 0xg", "p2m lookup: small: ", "0xg"},
    {"p2m lookup small 0x", "p2m lookup: small: ", "0x"},
    {"p2m lookup small 18446744073709551616",
     "p2m lookup: small: ", "18446744073709551616"},
    {"p2m set small 1 one missing", "p2m set: small: ", "one"},
    {"p2m set small 1 1 none", "p2m set: small: ", "none"},
    {"p2m set small 1 1 ram", "p2m set: small: ", "ram needs the MFN"},
    {"p2m set small 1 1 ram 1k", "p2m set: small: ", "1k"},
    {"p2m foreign map small 1 2+0", "p2m foreign map: small: ", "count of 0"},
    {"p2m foreign map small 1 2+65537", "p2m foreign map: small: ", "65536"},
    {"p2m foreign unmap small 1+", "p2m foreign unmap: small: ", "''"},
    {"p2m mfn small first", "p2m mfn: small: ", "first"},
    {"p2m map small --width 5", "p2m map: small: ", "5"},
    {"identity mark small 1 last", "identity mark: small: ", "last"},
    {"frames lookup 1+x", "frames lookup: ", "x"},
    {"frames read x", "frames read: ", "x"},
    {"guest read small 1 --offset -1", "guest read: small: ", "-1"},
    {"guest read small 1 --length 12x", "guest read: small: ", "12x"},
    {"guest write small 1 --hex 0g", "guest write: small: ", "0g"},
    {"guest write small 1", "guest write: small: ", "give the bytes"},
    {"guest load small --seed x", "guest load: small: ", "x"},
    {"guest load small --pages-per-second -1", "guest load: small: ", "-1"},
    {"address-space create small -1", "address-space create: small: ", "-1"},
    {"address-space create small many",
     "address-space create: small: ", "many"},
    {"address-space destroy small x", "address-space destroy: small: ", "x"},
    {"address-space translate small x 1",
     "address-space translate: small: ", "x"},
    {"migrate small host:1 --max-passes 0", "migrate: small: ", "0"},
    {"migrate small host:1 --min-dirty -1", "migrate: small: ", "-1"},
    {"migrate small host:1 --max-downtime -1", "migrate: small: ", "-1"},
    {"migrate small host:1 --max-downtime 1s", "migrate: small: ", "1s"},
    {"fault add save.piece --skip -1", "fault add: ", "-1"},
    {"fault add save.piece --probability often", "fault add: ", "often"},
    {"fault add save.piece --delay-ms 0", "fault add: ", "0"},
    {"fault clear first", "fault clear: ", "first"},
    {"e820 explain CFG --dom0-hotplug-limit -1", "e820 explain: ", "-1"},
    {"info --timeout soon", "info: ", "soon"},
};

constexpr Mistake kCpus[] = {
    {"vcpu-pin small x 0", "vcpu-pin: small: ", "Invalid argument x"},
    {"vcpu-pin small 4294967296 0", "vcpu-pin: small: ", "4294967296"},
    {"vcpu-pin -f small all 0", "vcpu-pin: small: ", "--force"},
    {"vcpu-pin small 0 - -", "vcpu-pin: small: ", "HARD and SOFT are both -"},
    {"vcpu-pin small 0 0-x", "vcpu-pin: small: ", "0-x"},
    {"vcpu-pin small 0 3-1", "vcpu-pin: small: ", "3-1"},
    {"vcpu-pin small 0 9999", "vcpu-pin: small: ", "9999"},
    {"vcpu-pin small 0 1,^1", "vcpu-pin: small: ", "1,^1"},
    {"vcpu-pin small 0 0 nodes:1", "vcpu-pin: small: ", "node 1"},
};

constexpr Mistake kDomains[] = {
    {"pause 4294967296", "pause: domain '4294967296': domids are", ""},
    {"destroy ''", "destroy: the domain is empty", ""},
    {"save small ''", "save: small: the name of the file is empty", ""},
    {"restore ''", "restore: the name of the file is empty", ""},
    {"create ''", "create: the name of the file is empty", ""},
    {"run ''", "run: the name of the file is empty", ""},
    {"batch ''", "batch: the name of the file is empty", ""},
    {"e820 explain ''", "e820 explain: the name of the file is empty", ""},
    {"destroy small 4294967296", "destroy: domain '4294967296'", ""},
    {"list 4294967296", "list: domain '4294967296'", ""},
    {"vcpu-list 4294967296", "vcpu-list: domain '4294967296'", ""},
    {"domid d\xff", "domid: domain name \"d\\xff\": byte 0xff", ""},
    {"mem-set d\xff 5", "mem-set: domain name \"d\\xff\": byte 0xff", ""},
    {"rename small d\xff", "rename: small: new name \"d\\xff\": byte", ""},
    {"restore --name d\xff GOOD", "restore: --name \"d\\xff\": byte", ""},
    {"migrate small host:1 --id \xff", "migrate: small: --id \"\\xff\"", ""},
    {"migrate-resolve --keep \xff", "migrate-resolve: ID \"\\xff\"", ""},
    {"fault add p\xff", "fault add: POINT \"p\\xff\"", ""},
};

constexpr Mistake kAddresses[] = {
    {"migrate small elsewhere", "migrate: small: address 'elsewhere'", ""},
    {"migrate small host:port", "migrate: small: address 'host:port'", ""},
    {"migrate small unix:", "migrate: small: address 'unix:'", ""},
};

constexpr Mistake kConfigurations[] = {
    {"create -q GOOD name=web", "create: ", "name=web"},
    {"create -q GOOD 'type=\"hvm\"'", "create: ", "hvm"},
    {"create -q GOOD 'uuid=\"1-2\"'", "create: ", "1-2"},
    {"create -q GOOD 'cpus=\"0-x\"'", "create: ", "0-x"},
    {"create memory=32", "create: ", "FILE is required"},
    {"create - -", "create: ", "standard input"},
};

constexpr Mistake kOthers[] = {
    {"migrate-resolve 1", "migrate-resolve: ", "--keep or --drop"},
    {"save small f small.cfg", "save: small: small.cfg: ", "to restore"},
    {"save -D small f", "save: small: -D: ", "domid"},
    {"migrate -C small.cfg small host:1", "migrate: small: -C small.cfg: ", ""},
    {"migrate -D small host:1", "migrate: small: -D: ", "domid"},
    {"restore - -", "restore: ", "standard input"},
    {"save small f --layer xen", "save: small: ", "xen"},
    {"fault clear", "fault clear: ", "--all"},
    {"fault clear 3 --all", "fault clear: ", "--all"},
    {"batch --pipeline", "batch: ", "--pipeline"},
    {"run", "run: ", "SCRIPT is required"},
    {"mem-set small", "mem-set: small: ", "SIZE is required"},
    {"rename small", "rename: small: ", "NEWNAME is required"},
    {"domname", "domname: ", "DOM is required"},
};

class UsageErrorsTest : public VerbTest {
 protected:
  void Expect(const std::string& line, const std::string& begin,
              const std::string& names) {
    SCOPED_TRACE(line);
    std::vector<std::string> words =
        SplitWords(absl::StrReplaceAll(line, {{"GOOD", good_}, {"CFG", bad_}}));
    words.insert(words.begin(), {"--address", address_});
    daemon_.TakeRequests();
    std::ostringstream out, err;
    EXPECT_EQ(RunApp(words, {.out = out, .err = err}), kExitUsage);
    EXPECT_EQ(out.str(), "");
    EXPECT_THAT(err.str(), StartsWith(absl::StrCat("simvisor ", begin)));
    EXPECT_THAT(err.str(), HasSubstr(names));
    EXPECT_THAT(daemon_.TakeRequests(), IsEmpty());
    ExpectJson(std::move(words), begin);
  }

  // In JSON the message begins in the same way, without the program's name.
  void ExpectJson(std::vector<std::string> words, const std::string& begin) {
    words.insert(words.begin(), {"-o", "json"});
    std::ostringstream out, err;
    EXPECT_EQ(RunApp(words, {.out = out, .err = err}), kExitUsage);
    std::istringstream lines(err.str());
    std::string line, last;
    while (std::getline(lines, line)) last = line;
    const Json json = Json::parse(last, nullptr, /*allow_exceptions=*/false);
    ASSERT_TRUE(json.is_object()) << err.str();
    EXPECT_EQ(json["code"], "INVALID_ARGUMENT");
    EXPECT_EQ(json["reason"], "COMMAND_LINE_INVALID");
    // A byte that is not UTF-8 is replaced in JSON.
    EXPECT_THAT(json["message"].get<std::string>(),
                StartsWith(begin.substr(0, begin.find('"'))));
  }

  // Whether the help of `verb` has `text`.
  static bool Requires(const std::string& verb, const std::string& text) {
    std::ostringstream help;
    RunApp(SplitWords(absl::StrCat(verb, " --help")),
           {.out = help, .err = help});
    return absl::StrContains(help.str(), text);
  }

  template <size_t N>
  void ExpectAll(const Mistake (&mistakes)[N]) {
    for (const Mistake& mistake : mistakes) {
      Expect(mistake.line, mistake.begin, mistake.names);
    }
  }

  const std::string good_ = WriteFile("good.cfg", "name = \"web\"\n");
  const std::string bad_ = WriteFile("bad.cfg", "memory = 64\n");
};

TEST_F(UsageErrorsTest, SizesThatCannotBeRead) { ExpectAll(kSizes); }

TEST_F(UsageErrorsTest, NumbersThatCannotBeRead) { ExpectAll(kNumbers); }

TEST_F(UsageErrorsTest, VirtualCpusAndCpuListsThatCannotBeRead) {
  ExpectAll(kCpus);
}

TEST_F(UsageErrorsTest, TextThatNamesNoDomain) { ExpectAll(kDomains); }

TEST_F(UsageErrorsTest, AddressesThatCannotBeRead) { ExpectAll(kAddresses); }

TEST_F(UsageErrorsTest, OverridesThatMakeAGoodFileWrong) {
  ExpectAll(kConfigurations);
}

TEST_F(UsageErrorsTest, ArgumentsThatAreMissingOrContradictEachOther) {
  ExpectAll(kOthers);
}

TEST_F(UsageErrorsTest, OptionsThatAVerbDoesNotHave) {
  for (const std::string& verb : AllVerbs()) {
    // A verb without its arguments asks for these first.
    Expect(absl::StrCat(verb, " --nonsense"), absl::StrCat(verb, ": "),
           Requires(verb, " REQUIRED") ? "is required" : "--nonsense");
  }
}

TEST_F(UsageErrorsTest, EveryVerbThatTakesADomainNamesOneThatCannotBeRead) {
  for (const std::string& verb : AllVerbs()) {
    if (!Requires(verb, "DOM TEXT REQUIRED")) continue;
    // More arguments than any verb needs, all numbers.
    std::ostringstream out, err;
    std::vector<std::string> words =
        SplitWords(absl::StrCat(verb, " 4294967296"));
    int code = RunApp(words, {.out = out, .err = err});
    while (absl::StrContains(err.str(), "is required") && words.size() < 9) {
      words.push_back(absl::StrContains(err.str(), "HOST")    ? "host:1"
                      : absl::StrContains(err.str(), "CLASS") ? "missing"
                                                              : "1");
      err.str("");
      code = RunApp(words, {.out = out, .err = err});
    }
    if (verb == "guest write") {
      words.push_back("text");
      err.str("");
      code = RunApp(words, {.out = out, .err = err});
    }
    EXPECT_EQ(code, kExitUsage) << verb;
    EXPECT_THAT(err.str(), StartsWith(absl::StrCat("simvisor ", verb,
                                                   ": domain '4294967296'")));
  }
}

TEST_F(UsageErrorsTest, JsonErrorsAreOneObjectWithTheSameMessage) {
  std::ostringstream out, err;
  EXPECT_EQ(RunApp({"-o", "json", "mem-set", "small", "512x"},
                   {.out = out, .err = err}),
            kExitUsage);
  EXPECT_THAT(err.str(),
              HasSubstr("\"message\":\"mem-set: small: invalid memory size: "
                        "512x; "));
  const std::string said = err.str();
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1);
}

TEST_F(UsageErrorsTest, JsonErrorsBeforeTheVerbHaveNoProgramNameEither) {
  for (const auto& [line, message] :
       std::vector<std::pair<const char*, const char*>>{
           {"lst",
            "no command is named 'lst'; did you mean 'list'?  See "
            "--help"},
           {"p2m dmup",
            "no command of p2m is named 'dmup'; did you mean "
            "'dump'?  See --help"},
           {"mem", "'mem' may be mem-set or mem-max"},
           {"p2m m", "'m' may be p2m map or p2m mfn"},
           {"-N list",
            "list has no dry run; -N goes with create and "
            "vcpu-pin"}}) {
    std::ostringstream out, err;
    std::vector<std::string> words = SplitWords(line);
    words.insert(words.begin(), {"-o", "json"});
    EXPECT_EQ(RunApp(words, {.out = out, .err = err}), kExitUsage);
    EXPECT_EQ(Json::parse(err.str()), Json({{"code", "INVALID_ARGUMENT"},
                                            {"reason", "COMMAND_LINE_INVALID"},
                                            {"message", message},
                                            {"metadata", Json::object()}}));
  }
}

TEST_F(UsageErrorsTest, FileThatIsWrongByItselfIsAFailure) {
  std::ostringstream out, err;
  EXPECT_EQ(RunApp({"create", bad_, "memory=32"}, {.out = out, .err = err}),
            kExitFailed);
}

}  // namespace
}  // namespace simvisor::client
