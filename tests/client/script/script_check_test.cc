// What is refused before a script's first call: bounds of polls, variables,
// fields, cleanup steps.

#include "client/script/script_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/script/script_file.h"

namespace simvisor::client {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kSavesId[] =
    "steps { create_domain {} save { name: \"id\" field: \"domain.domid\" } }\n"
    "";

std::string ScriptError(const std::string& text) {
  const auto file = ParseScript("a", text);
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(file.status().message());
}

absl::Status CheckedStatus(const std::string& text) {
  return ParseScript("a", text).status();
}

std::string PollStep(const std::string& poll) {
  return absl::StrCat("steps { poll { ", poll, " } get_host {} }");
}

TEST(ScriptCheckTest, CleanupStepsAreCheckedAsStepsAre) {
  EXPECT_THAT(ScriptError("steps { get_host {} }\ncleanup { get_host {} }\n"
                          "cleanup { name: \"b\" }"),
              HasSubstr("a:3:1: cleanup step 2: the step has no call"));
  EXPECT_THAT(ScriptError("cleanup { get_host {} }"),
              HasSubstr("has no steps"));
}

TEST(ScriptCheckTest, EveryFaultyStepIsNamed) {
  EXPECT_THAT(
      ScriptError("steps {}\nsteps { get_host {} }\n"
                  "steps { poll {} get_host {} }\ncleanup {}"),
      AllOf(HasSubstr("a:1:1: step 1:"), Not(HasSubstr("step 2")),
            HasSubstr("a:3:1: step 3:"), HasSubstr("a:4:1: cleanup step 1:")));
}

TEST(ScriptCheckTest, LongListOfErrorsIsWhole) {
  std::string text;
  for (int i = 0; i < 140; ++i) text += "steps {}\n";
  const std::string error = ScriptError(text);
  EXPECT_THAT(error, EndsWith("a:140:1: step 140: the step has no call"));
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 139);
}

TEST(ScriptCheckTest, StepOfAListIsNamedWithItsOwnPlace) {
  EXPECT_EQ(ScriptError("steps: [ { get_host {} },\n"
                        "         {},\n"
                        "         <> ]\n"
                        "steps {}"),
            "a:2:10: step 2: the step has no call\n"
            "a:3:10: step 3: the step has no call\n"
            "a:4:1: step 4: the step has no call");
}

TEST(ScriptCheckTest, PollTimeoutHasBounds) {
  EXPECT_TRUE(CheckedStatus(PollStep("timeout_ms: 1")).ok());
  EXPECT_TRUE(CheckedStatus(PollStep("timeout_ms: 86400000")).ok());
  for (const char* poll : {"", "interval_ms: 50", "timeout_ms: 0"}) {
    EXPECT_THAT(
        ScriptError(PollStep(poll)),
        HasSubstr("poll.timeout_ms: must be given, 1 to 86400000 (a day)"));
  }
  EXPECT_THAT(ScriptError(PollStep("timeout_ms: 86400001")),
              HasSubstr("poll.timeout_ms: 86400001 is not between"));
}

TEST(ScriptCheckTest, PollIntervalHasBounds) {
  EXPECT_TRUE(CheckedStatus(PollStep("timeout_ms: 10 interval_ms: 10")).ok());
  EXPECT_TRUE(
      CheckedStatus(PollStep("timeout_ms: 60000 interval_ms: 60000")).ok());
  EXPECT_THAT(ScriptError(PollStep("timeout_ms: 100 interval_ms: 9")),
              HasSubstr("poll.interval_ms: 9 is not between 10 and 60000"));
  EXPECT_THAT(ScriptError(PollStep("timeout_ms: 60001 interval_ms: 60001")),
              HasSubstr("poll.interval_ms: 60001 is not between"));
  EXPECT_THAT(ScriptError(PollStep("timeout_ms: 99 interval_ms: 100")),
              HasSubstr("100 is more than timeout_ms, 99"));
}

TEST(ScriptCheckTest, PollIntervalHasADefaultWithinTheTimeout) {
  v1::Poll poll;
  poll.set_timeout_ms(5000);
  EXPECT_EQ(IntervalOf(poll), absl::Milliseconds(100));
  poll.set_interval_ms(20);
  EXPECT_EQ(IntervalOf(poll), absl::Milliseconds(20));
  poll.set_interval_ms(0);
  poll.set_timeout_ms(1);
  EXPECT_EQ(IntervalOf(poll), absl::Milliseconds(1));
}

TEST(ScriptCheckTest, VariableThatNoStepSavesIsRefused) {
  EXPECT_THAT(
      ScriptError(absl::StrCat(kSavesId,
                               "steps { get_domain { request { domain { name: "
                               "\"web-${ID}\" } } } }")),
      HasSubstr("a:2:1: step 2: ${ID}: no step saves this variable"));
  EXPECT_THAT(
      ScriptError("steps { get_domain {} set { field: \"request.domain.domid\" "
                  "variable: \"id\" } }"),
      HasSubstr("step 1: ${id}: no step saves this variable"));
}

TEST(ScriptCheckTest, VariableIsUsedOnlyAfterTheStepThatSavesIt) {
  const std::string use =
      "steps { get_domain { request { domain { name: \"${id}\" } } } }\n";
  EXPECT_THAT(ScriptError(use + kSavesId),
              HasSubstr("step 1: ${id}: step 2 saves it, which is not before"));
  EXPECT_TRUE(CheckedStatus(kSavesId + use).ok());
  // Nor in the step itself.
  EXPECT_THAT(
      ScriptError(
          "steps { create_domain { request { spec { name: \"${id}\" } } } "
          "save { name: \"id\" field: \"domain.domid\" } }"),
      HasSubstr("step 1: ${id}: step 1 saves it"));
}

TEST(ScriptCheckTest, CleanupUsesWhatStepsAndEarlierCleanupSave) {
  const std::string use =
      "cleanup { get_domain { request { domain { name: \"${id}\" } } } }\n";
  EXPECT_TRUE(CheckedStatus(kSavesId + use).ok());
  EXPECT_TRUE(
      CheckedStatus(use + kSavesId).ok());  // cleanup runs after all steps
  const std::string saves_late =
      "steps { get_host {} } cleanup { create_domain {} save { name: \"id\" "
      "field: \"domain.domid\" } }";
  EXPECT_THAT(ScriptError(use + saves_late),
              HasSubstr("cleanup step 1: ${id}: cleanup step 2 saves it"));
}

TEST(ScriptCheckTest, VariableIsSavedInOnePlace) {
  EXPECT_THAT(ScriptError(absl::StrCat(kSavesId, kSavesId)),
              HasSubstr("step 2: save.name: step 1 saves id already"));
}

TEST(ScriptCheckTest, AbsentFieldsAreNotReadAsEmptyText) {
  EXPECT_EQ(ScriptError("steps { create_domain {} save {} }\n"
                        "steps { get_domain {} set {} }"),
            "a:1:1: step 1: save.field: must be given\n"
            "a:1:1: step 1: save.name: must be given\n"
            "a:2:1: step 2: set.variable: must be given\n"
            "a:2:1: step 2: set.field: must be given");
}

TEST(ScriptCheckTest, AllFaultsAreReportedTogether) {
  EXPECT_EQ(
      ScriptError("steps { poll {} create_domain { request { spec { name: "
                  "\"${a}-${b}\" } } } }\n"
                  "steps {}\n"
                  "steps { create_domain {} save { name: \"id\" field: \"x\" } "
                  "}\n"
                  "steps { get_domain { request { domain { name: \"${id}\" } } "
                  "} set { field: \"request.none\" variable: \"id\" } }"),
      "a:1:1: step 1: poll.timeout_ms: must be given, 1 to 86400000 (a day)\n"
      "a:1:1: step 1: ${a}: no step saves this variable\n"
      "a:1:1: step 1: ${b}: no step saves this variable\n"
      "a:2:1: step 2: the step has no call\n"
      "a:3:1: step 3: save.field \"x\": simvisor.v1.CreateDomainResponse has "
      "no field 'x'\n"
      // The variable is there, though not its type.
      "a:4:1: step 4: set.field \"request.none\": "
      "simvisor.v1.GetDomainRequest has no field 'none'");
}

TEST(ScriptCheckTest, SavedFieldMustExist) {
  EXPECT_THAT(ScriptError("steps { create_domain {} save { name: \"id\" field: "
                          "\"domain.id\" } }"),
              HasSubstr("step 1: save.field \"domain.id\": simvisor.v1.Domain "
                        "has no field 'id'"));
  EXPECT_THAT(
      ScriptError("steps { create_domain {} save { name: \"i-d\" field: "
                  "\"domain.domid\" } }"),
      HasSubstr("save.name: \"i-d\" is not a letter"));
}

TEST(ScriptCheckTest, ExpectedErrorSavesNothing) {
  EXPECT_THAT(
      ScriptError("steps { create_domain {} expect_error {} save { name: "
                  "\"id\" field: \"domain.domid\" } }"),
      HasSubstr("expect_error and save"));
}

// The error of a second step with this call and `set`.
std::string SetError(const std::string& call, const std::string& field,
                     const std::string& more = "") {
  return ScriptError(absl::StrCat(kSavesId, "steps { ", call,
                                  " set { field: \"", field,
                                  "\" variable: \"id\" } ", more, " }"));
}

TEST(ScriptCheckTest, SetFieldMustExistInTheCall) {
  EXPECT_THAT(SetError("get_domain {}", "domain.domid"),
              HasSubstr("set.field \"domain.domid\": the path must begin with "
                        "'request.' or 'expect.'"));
  EXPECT_THAT(SetError("get_domain {}", "request.domain.id"),
              HasSubstr("simvisor.v1.DomainRef has no field 'id'"));
  EXPECT_THAT(SetError("translate_pfns {}", "request.pfns[0]"),
              HasSubstr("'pfns' has 0 elements"));
}

TEST(ScriptCheckTest, SetFieldMustHaveTheTypeOfTheVariable) {
  EXPECT_THAT(SetError("get_domain {}", "request.domain.name"),
              HasSubstr("it is a string, and id is an integer"));
  EXPECT_THAT(SetError("get_domain {}", "expect.domain.state"),
              HasSubstr("it is a simvisor.v1.DomainState, and id is an "
                        "integer"));
}

TEST(ScriptCheckTest, SetDoesNotReplaceWhatTheScriptNames) {
  EXPECT_THAT(SetError("get_domain { request { domain { name: \"web\" } } }",
                       "request.domain.domid"),
              HasSubstr("'name' is set, and only one of 'ref' can be"));
  EXPECT_THAT(SetError("get_domain {}", "request.domain.domid",
                       "set { field: \"request.domain.domid\" variable: "
                       "\"id\" }"),
              HasSubstr("it is set twice"));
}

TEST(ScriptCheckTest, ExpectedErrorHasNoFieldsToCompare) {
  EXPECT_THAT(
      SetError("get_domain {}", "expect.domain.domid", "expect_error {}"),
      HasSubstr("the step has expect_error"));
}

TEST(ScriptCheckTest, BytesDoNotGoIntoAString) {
  EXPECT_THAT(
      ScriptError(
          "steps { read_guest_memory {} save { name: \"b\" field: \"data\" "
          "} } steps { get_domain { request { domain { name: \"${b}\" } } "
          "} }"),
      HasSubstr("step 2: ${b}: it holds bytes, which a string cannot"));
}

}  // namespace
}  // namespace simvisor::client
