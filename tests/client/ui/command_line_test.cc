#include "client/ui/command_line.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/ui/exit_code.h"
#include "gtest/gtest.h"

namespace simvisor::client {
namespace {

class CommandLineTest : public testing::Test {
 protected:
  CommandLineTest() : line_("tool", "Moves pages.") {
    line_.SetVersion("-V,--version", "tool 1");
    line_.program().AddOption("-t,--timeout", timeout_, "Seconds");
    Verb group = line_.program().AddGroup("balloon", "Moves them");
    group.InheritOptions();
    Verb down = group.AddVerb("down", "Takes them");
    down.AddPositional("DOM", domain_, "Domain").Required();
    down.AddPositional("PFN", pfns_, "Pages");
    const Argument keep = down.AddFlag("--keep", keep_, "Keep them");
    down.AddOption("--order", order_, "Order").OneOf({"up", "down"});
    down.AddOption("--limit", limit_, "Limit").Excludes(keep);
    down.AddOption("--rate", rate_, "Rate").Between(1, 10).Needs(keep);
    down.OnChosen([this] { ++chosen_; });
  }

  // The message about a line that must be wrong.
  std::string ErrorOf(const std::string& line) {
    const auto text = line_.Parse(SplitWords(line));
    EXPECT_EQ(ExitCode(text.status()), kExitUsage) << text.status();
    EXPECT_EQ(chosen_, 0);
    return std::string(text.status().message());
  }

  CommandLine line_;
  double timeout_ = 0;
  std::string domain_;
  std::vector<std::string> pfns_;
  bool keep_ = false;
  std::string order_ = "up";
  std::optional<uint64_t> limit_;
  uint32_t rate_ = 3;
  int chosen_ = 0;
};

TEST_F(CommandLineTest, SetsWhatALineGivesAndCallsItsVerb) {
  const auto text = line_.Parse(
      SplitWords("balloon down 'my web' 1 2 --limit 7 --order down -t 0.5"));
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(*text, "");
  EXPECT_EQ(domain_, "my web");
  EXPECT_EQ(pfns_, (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(limit_, 7);
  EXPECT_EQ(order_, "down");
  EXPECT_EQ(timeout_, 0.5);
  EXPECT_EQ(rate_, 3);
  EXPECT_EQ(chosen_, 1);
  EXPECT_EQ(line_.chosen_verbs(), "balloon down");
  EXPECT_EQ(line_.ValueOf("DOM"), "my web");
  EXPECT_EQ(line_.ValueOf("PFN"), "");  // two words
  EXPECT_EQ(line_.ValueOf("MFN"), "");
}

TEST_F(CommandLineTest, IgnoredOptionsMayBeRepeatedAndDoNothing) {
  Verb copy = line_.program().AddVerb("copy", "Copies them");
  copy.AddPositional("DOM", domain_, "Domain").Required();
  copy.AddIgnored("-c,-e,--debug", "No effect");
  copy.AddIgnoredOption("-s", "No effect");
  for (const char* line : {"copy -ce web -c --debug", "copy -s 'a b' web -sc",
                           "copy web --debug -e"}) {
    const auto text = line_.Parse(SplitWords(line));
    ASSERT_TRUE(text.ok()) << text.status();
    EXPECT_EQ(domain_, "web");
  }
  EXPECT_EQ(ErrorOf("copy web -s"), "-s needs a value");
  EXPECT_EQ(ErrorOf("copy web -x"), "no option is named '-x'");
}

TEST_F(CommandLineTest, KnowsItsOptionsInEveryForm) {
  const Verb program = line_.program();
  for (const char* word : {"-t", "-t5", "--timeout", "--timeout=5", "-V"}) {
    EXPECT_TRUE(program.HasOption(word)) << word;
  }
  for (const char* word : {"-x", "-x5", "--time", "--keep", "-", "--"}) {
    EXPECT_FALSE(program.HasOption(word)) << word;
  }
}

TEST_F(CommandLineTest, ErrorsNameTheMistake) {
  EXPECT_EQ(ErrorOf("balloon down"), "DOM is required");
  EXPECT_EQ(line_.chosen_verbs(), "balloon down");
  EXPECT_EQ(ErrorOf("balloon down web --order left"),
            "--order: 'left': must be one of up, down");
  EXPECT_EQ(ErrorOf("balloon down web --rate 11 --keep"),
            "--rate: '11': must be 1 to 10");
  EXPECT_EQ(ErrorOf("balloon down web --rate 5"), "--rate requires --keep");
  EXPECT_EQ(ErrorOf("balloon down web --limit 5 --keep"),
            "--keep excludes --limit");
  EXPECT_EQ(line_.ValueOf("DOM"), "web");
  EXPECT_EQ(ErrorOf("balloon"), "a command is required, one of down");
  EXPECT_EQ(line_.chosen_verbs(), "balloon");
}

TEST_F(CommandLineTest, ErrorsSayWhichOptionAWordMayStandFor) {
  bool all = false;
  Verb show = line_.program().AddVerb("show", "Shows them");
  show.AddPositional("DOM", domain_, "Domain").Required();
  show.AddFlag("--all", all, "All of them");
  EXPECT_EQ(ErrorOf("show web all"),
            "too many arguments: 'all'; it takes DOM; did you mean --all?");
  EXPECT_EQ(ErrorOf("show all web"),
            "too many arguments: 'web'; it takes DOM; 'all' is taken for DOM: "
            "did you mean 'tool show web --all'?");
  EXPECT_EQ(ErrorOf("show web --lal x"),
            "no option is named '--lal'; did you mean '--all'?");
  EXPECT_EQ(ErrorOf("show web none"),
            "too many arguments: 'none'; it takes DOM");
  EXPECT_EQ(ErrorOf("show web all none"),
            "too many arguments: 'all' 'none'; it takes DOM");
}

TEST_F(CommandLineTest, ArgumentsThatAreTooManyAreNamedAsTyped) {
  Verb stop = line_.program().AddVerb("stop", "Stops them");
  stop.AddPositional("DOM", domain_, "Domain").Required();
  EXPECT_EQ(ErrorOf("stop web a 'b c'"),
            "too many arguments: 'a' 'b c'; it takes DOM");
  EXPECT_EQ(line_.ValueOf("DOM"), "web");
  line_.program().AddVerb("list", "Lists them");
  EXPECT_EQ(ErrorOf("list a"),
            "too many arguments: 'a'; it takes only options");
}

TEST_F(CommandLineTest, UnknownOptionIsNamedBeforeItsValueWithTheOneMeant) {
  EXPECT_EQ(ErrorOf("balloon down web 1 --ordr=up"),
            "no option is named '--ordr'; did you mean '--order'?");
  EXPECT_EQ(ErrorOf("balloon down web 1 --timout 5"),
            "no option is named '--timout'; did you mean '--timeout'?");
  EXPECT_EQ(ErrorOf("balloon down web --quickly"),
            "no option is named '--quickly'");
  EXPECT_EQ(ErrorOf("balloon down web --keep=maybe"),
            "--keep takes no value, and has 'maybe'");
}

TEST_F(CommandLineTest, WordsAfterTwoDashesAreNoOptions) {
  Verb stop = line_.program().AddVerb("stop", "Stops them");
  stop.AddPositional("DOM", domain_, "Domain").Required();
  EXPECT_EQ(ErrorOf("stop -- web 5 6"),
            "too many arguments: '5' '6'; it takes DOM");
  EXPECT_EQ(ErrorOf("stop -- -web -5x --six"),
            "too many arguments: '-5x' '--six'; it takes DOM");
  EXPECT_EQ(ErrorOf("stop web -- --six"),
            "too many arguments: '--six'; it takes DOM");
  EXPECT_EQ(ErrorOf("stop --six -- web 5"), "no option is named '--six'");
}

TEST_F(CommandLineTest, NumbersSayWhatTheyAccept) {
  for (const char* text :
       {"1.5g", "512x", "-5", "''", "18446744073709551616", "0x"}) {
    const std::string shown = std::string(text) == "''" ? "" : text;
    EXPECT_EQ(ErrorOf(std::string("balloon down web --limit ") + text),
              "--limit: '" + shown +
                  "': must be a whole number below 2^64, decimal or 0x...");
    EXPECT_EQ(ErrorOf(std::string("balloon down web --keep --rate ") + text),
              "--rate: '" + shown +
                  "': must be a whole number up to 4294967295, decimal or "
                  "0x...");
  }
  EXPECT_EQ(ErrorOf("balloon down web --timeout soon"),
            "--timeout: 'soon': must be a number");
}

TEST_F(CommandLineTest, NumbersAreReadAsPositionalOnesAre) {
  for (const auto& [text, number] :
       std::vector<std::pair<const char*, uint64_t>>{
           {"0x10", 16}, {"010", 10}, {"18446744073709551615", UINT64_MAX}}) {
    const auto parsed = line_.Parse(
        {"balloon", "down", "web", "--limit", text, "--timeout", "1e1"});
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(limit_, number);
    EXPECT_EQ(timeout_, 10);
  }
}

TEST_F(CommandLineTest, BlanksAroundANumberDoNotCount) {
  EXPECT_EQ(ErrorOf("balloon down web --timeout ' '"),
            "--timeout: ' ': must be a number");
  const auto parsed =
      line_.Parse({"balloon", "down", "web", "--timeout", " 5 "});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(timeout_, 5);
}

TEST_F(CommandLineTest, MoreValuesThanAnArgumentTakesAreCounted) {
  EXPECT_EQ(ErrorOf("balloon down web --order up --order down"),
            "--order is given more than once");
  Verb copy = line_.program().AddVerb("copy", "Copies them");
  copy.AddPositional("[FROM] TO", pfns_, "Where").Values(1, 2);
  EXPECT_EQ(ErrorOf("copy a b c"),
            "[FROM] TO takes at most 2 arguments, not 3");
}

TEST_F(CommandLineTest, ReturnsHelpOrTheVersionInstead) {
  const auto help = line_.Parse({"balloon", "down", "--help"});
  ASSERT_TRUE(help.ok()) << help.status();
  EXPECT_NE(help->find("Takes them"), std::string::npos) << *help;
  const auto version = line_.Parse({"-V"});
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(*version, "tool 1\n");
  EXPECT_EQ(chosen_, 0);
}

TEST_F(CommandLineTest, TellsWhichOptionsTakeTheNextWord) {
  EXPECT_TRUE(line_.program().TakesNextWord("-t"));
  EXPECT_FALSE(line_.program().TakesNextWord("--version"));
  EXPECT_FALSE(line_.program().TakesNextWord("--keep"));
}

TEST(CommandLineWithoutHelpTest, RefusesHelp) {
  CommandLine line("batch", "");
  line.RemoveHelp();
  line.program().AddVerb("stop", "");
  EXPECT_FALSE(line.Parse({"stop", "--help"}).ok());
  EXPECT_TRUE(line.Parse({"stop"}).ok());
}

}  // namespace
}  // namespace simvisor::client
