// Scripts that cannot be parsed: every step's error in one run.

#include "client/script/script_errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "client/script/script_file.h"
#include "simvisor/v1/script.pb.h"

namespace simvisor::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::vector<std::string> ErrorsOf(const std::string& text) {
  const auto file = ParseScript("a", text);
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return absl::StrSplit(file.status().message(), '\n');
}

TEST(ScriptErrorsTest, EachStepHasItsOwnError) {
  EXPECT_THAT(
      ErrorsOf("title: \"t\"\n"
               "steps { get_hst {} }\n"
               "steps {\n"
               "  get_domain { request { domain { domid: many } } }\n"
               "}\n"
               "steps { get_host {} poll { interval_ms: 50 } }\n"
               "cleanup { name: 5 get_host {} }\n"
               "cleanup { get_domain { request { domain { name: \"${x}\" } } } "
               "}\n"),
      ElementsAre(
          StartsWith("a:2:17: step 1: Message type \"simvisor.v1.Step\" "
                     "has no field named \"get_hst\"."),
          "a:4:42: step 2: Expected integer, got: many",
          StartsWith("a:6:1: step 3: poll.timeout_ms: must be given"),
          "a:7:17: cleanup step 1: Expected string, got: 5",
          "a:8:1: cleanup step 2: ${x}: no step saves this variable"));
}

TEST(ScriptErrorsTest, VariableInANumberSaysHowToSetIt) {
  const std::string saves =
      "steps { create_domain {} save { name: \"id\" field: \"domain.domid\" } "
      "}\n";
  EXPECT_THAT(
      ErrorsOf(saves +
               "steps { get_domain { request { domain { domid: ${id} } } } }"),
      ElementsAre("a:2:48: step 2: Expected integer, got: $; only strings can "
                  "have ${id}: leave this field out, and give the step set { "
                  "field: \"request.domain.domid\" variable: \"id\" }"));
  EXPECT_THAT(
      ErrorsOf(saves + "steps { get_domain { expect { domain {\n"
                       "\tdomid: \"${id}\" } } } }"),
      ElementsAre(HasSubstr("set { field: \"expect.domain.domid\" variable: "
                            "\"id\" }")));
  // What the hint says works.
  EXPECT_TRUE(ParseScript("a", saves +
                                   "steps { get_domain {} set { field: "
                                   "\"request.domain.domid\" variable: \"id\" "
                                   "} }")
                  .ok());
}

TEST(ScriptErrorsTest, VariableWithoutQuotesInAStringAsksForThem) {
  EXPECT_THAT(
      ErrorsOf("steps { get_domain { request { domain { name: ${id} } } } }"),
      ElementsAre(
          "a:1:47: step 1: Expected string, got: $; write it in quotes: "
          "\"${id}\""));
}

TEST(ScriptErrorsTest, StepThatCannotBeParsedMaySaveVariables) {
  EXPECT_THAT(
      ErrorsOf(
          "steps { create_domain { bad: 1 }\n"
          "        save { name: \"id\" field: \"domain.domid\" } }\n"
          "steps { get_domain { request { domain { name: \"${id}\" } } } }"),
      SizeIs(1));
}

TEST(ScriptErrorsTest, BracketThatIsNotClosedEndsAtTheNextStep) {
  EXPECT_THAT(
      ErrorsOf("steps { get_host {\n"
               "steps { get_hst {} }\n"
               "cleanup { get_host { } }\n"
               "cleanup { get_host {}"),
      ElementsAre(
          "a:1:1: step 1: brackets are not closed before the next step, "
          "or the end of the file",
          HasSubstr("a:2:17: step 2: Message type"),
          "a:4:1: cleanup step 2: a bracket is not closed before the "
          "next step, or the end of the file"));
}

// Adds the names of all fields inside `type`.
void AddFields(const google::protobuf::Descriptor& type,
               std::set<const google::protobuf::Descriptor*>& seen,
               std::set<std::string>& names) {
  if (!seen.insert(&type).second) return;
  for (int i = 0; i < type.field_count(); ++i) {
    names.insert(type.field(i)->name());
    const auto* inside = type.field(i)->message_type();
    if (inside != nullptr) AddFields(*inside, seen, names);
  }
}

TEST(ScriptErrorsTest, OnlyAScriptHasSteps) {
  std::set<const google::protobuf::Descriptor*> seen;
  std::set<std::string> names;
  AddFields(*v1::Step::descriptor(), seen, names);
  EXPECT_GT(names.size(), 100u);
  EXPECT_FALSE(names.contains("steps"));
  EXPECT_FALSE(names.contains("cleanup"));
}

TEST(ScriptErrorsTest, BracketThatClosesNothingIsNamed) {
  EXPECT_THAT(ErrorsOf("steps { get_host {} } }\nsteps { get_hst {} }"),
              ElementsAre("a:1:23: \"}\" does not belong here: a script has "
                          "title, steps and cleanup",
                          StartsWith("a:2:17: step 2: Message type")));
}

TEST(ScriptErrorsTest, BracketsInStringsAndCommentsDoNotCount) {
  EXPECT_THAT(ErrorsOf("steps { name: \"}{ \\\" }\" # } steps {\n"
                       " get_host {} }\n"
                       "steps: [ { get_host {} }, { name: '}' get_host {} } ]\n"
                       "steps < name: \"unclosed\n"
                       ">\n"
                       "steps { name: 5 }"),
              ElementsAre(HasSubstr("a:4:24: step 4: String literals"),
                          StartsWith("a:6:15: step 5: Expected string")));
}

TEST(ScriptErrorsTest, ErrorOfTheWholeIsReported) {
  EXPECT_THAT(ErrorsOf("title: \"a\"\ntitle: \"b\"\nsteps { get_host {} }"),
              ElementsAre(HasSubstr("a:2:6: Non-repeated field \"title\"")));
}

TEST(ScriptErrorsTest, OtherFilesHaveAShortReport) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "root:x:0:0:root:/root:/bin/bash\n";
  for (const std::string& other :
       {text, std::string("\0\xff\x1b{{{", 6), std::string(1 << 20, '}'),
        std::string("root { x")}) {
    EXPECT_THAT(ErrorsOf(other), ElementsAre(HasSubstr(" does not belong here"),
                                             "a:1:1: the script has no steps"));
  }
}

TEST(ScriptErrorsTest, NameThatNoFieldHasIsNamed) {
  EXPECT_THAT(
      ErrorsOf("title: 'a' \"b\"; steps { get_host {} }, stps { get_host {} }\n"
               "steps { get_hst {} }"),
      ElementsAre("a:1:40: \"stps\" does not belong here: a script has title, "
                  "steps and cleanup",
                  StartsWith("a:2:17: step 2: Message type")));
}

TEST(ScriptErrorsTest, MissingQuoteIsTheOnlyErrorOfItsStep) {
  EXPECT_THAT(
      ErrorsOf("steps { create_domain { request { spec { name: \"web } } } }\n"
               "steps { get_hst {} }\n"
               "cleanup < create_domain < request { spec { name: 'web } } > >"),
      ElementsAre(
          StartsWith("a:1:60: step 1: String literals cannot cross line"),
          StartsWith("a:2:17: step 2: Message type"),
          StartsWith("a:3:62: cleanup step 1: String literals cannot cross")));
}

TEST(ScriptErrorsTest, OpenBracketsOfEachKindAreTheOnlyError) {
  EXPECT_THAT(ErrorsOf("steps < get_host { # the host\n"
                       "steps: [ { get_host < >\n"
                       "cleanup { get_host {} # done"),
              ElementsAre(StartsWith("a:1:1: step 1: brackets are not closed"),
                          StartsWith("a:2:1: step 2: brackets are not closed"),
                          StartsWith("a:3:1: cleanup step 1: a bracket is")));
}

TEST(ScriptErrorsTest, EachStepHasOneErrorHoweverManyTokensAreWrong) {
  std::string text = "steps { get_host {} ";
  for (int i = 0; i < 500000; ++i) text += "\x01 ";
  text += "}\nsteps { get_hst {} }";
  EXPECT_THAT(ErrorsOf(text),
              ElementsAre(StartsWith("a:1:21: step 1: Invalid control char"),
                          StartsWith("a:2:17: step 2: Message type")));
}

TEST(ScriptErrorsTest, WholeThatOnlyTheTokenizerRefusesHasOneError) {
  EXPECT_THAT(ErrorsOf("steps { get_host {} }\n\x01 \x01 \x01"), SizeIs(1));
}

TEST(ScriptErrorsTest, StepsOfAListAreCountedAndHaveTheirOwnPlaces) {
  EXPECT_THAT(ErrorsOf("steps: [ { get_host {} }, {},\n"
                       "  < > ]\n"
                       "steps: []\n"
                       "steps: [ { get_host {} },\n"
                       "         { get_hst {} }, { get_host {} } ]\n"
                       "steps { get_hst {} }"),
              ElementsAre("a:1:27: step 2: the step has no call",
                          "a:2:3: step 3: the step has no call",
                          StartsWith("a:5:20: step 5: Message type"),
                          StartsWith("a:6:17: step 7: Message type")));
}

}  // namespace
}  // namespace simvisor::client
