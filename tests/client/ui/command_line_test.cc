#include "client/ui/command_line.h"

#include <cstdint>
#include <optional>
#include <string>
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
  EXPECT_EQ(ErrorOf("copy web -s"), "-s: 1 required TEXT missing");
  EXPECT_EQ(ErrorOf("copy web -x"),
            "The following argument was not expected: -x");
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
            "--order: left not in {up,down}");
  EXPECT_EQ(ErrorOf("balloon down web --rate 11 --keep"),
            "--rate: Value 11 not in range 1 to 10");
  EXPECT_EQ(ErrorOf("balloon down web --rate 5"), "--rate requires --keep");
  EXPECT_EQ(ErrorOf("balloon down web --limit 5 --keep"),
            "--keep excludes --limit");
  EXPECT_EQ(line_.ValueOf("DOM"), "web");
  EXPECT_EQ(ErrorOf("balloon"), "A subcommand is required");
  EXPECT_EQ(line_.chosen_verbs(), "balloon");
}

TEST_F(CommandLineTest, ErrorsSayWhichOptionAWordMayStandFor) {
  bool all = false;
  Verb show = line_.program().AddVerb("show", "Shows them");
  show.AddPositional("DOM", domain_, "Domain").Required();
  show.AddFlag("--all", all, "All of them");
  const std::string one = "The following argument was not expected: ";
  EXPECT_EQ(ErrorOf("show web all"), one + "all; did you mean --all?");
  EXPECT_EQ(ErrorOf("show all web"),
            one +
                "web; all is taken for DOM: did you mean 'tool show web "
                "--all'?");
  EXPECT_EQ(ErrorOf("show web --lal"), one + "--lal; did you mean --all?");
  EXPECT_EQ(ErrorOf("show web --timeuot=5"),
            one + "--timeuot=5; did you mean --timeout?");
  EXPECT_EQ(ErrorOf("show web --lal x"),
            "The following arguments were not expected: --lal x; did you mean "
            "--all?");
  EXPECT_EQ(ErrorOf("show web none"), one + "none");
  EXPECT_EQ(ErrorOf("show web -x"), one + "-x");
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
