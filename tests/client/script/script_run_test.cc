// Runs of scripts: cleanup steps, --keep-going, polling, variables.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/script/script_runner.h"
#include "tests/client/script/script_testing.h"

namespace simvisor::client {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::SizeIs;
using enum StepEnd;

const absl::Status kOk;
const absl::Status kLostDaemon = absl::UnavailableError("gone");

// Two steps and two cleanup steps, each a call that needs no answer.
constexpr char kTwoAndTwo[] =
    "steps { get_host {} } steps { audit_host {} } "
    "cleanup { list_domains {} } cleanup { list_faults {} }";

TEST(CleanupTest, RunsAfterTheSteps) {
  const RunResult result = RunSteps(kTwoAndTwo, {kOk});
  EXPECT_TRUE(result.status.ok());
  EXPECT_THAT(result.methods,
              ElementsAre(HasSubstr("GetHost"), HasSubstr("AuditHost"),
                          HasSubstr("ListDomains"), HasSubstr("ListFaults")));
  EXPECT_FALSE(result.outcomes[1].cleanup);
  EXPECT_TRUE(result.outcomes[2].cleanup);
  EXPECT_EQ(result.outcomes[2].number, 1);
  EXPECT_EQ(result.outcomes[2].total, 2);
}

TEST(CleanupTest, RunsAfterAStepThatFails) {
  const RunResult result = RunSteps(kTwoAndTwo, {NotFound(), kOk});
  EXPECT_EQ(result.status,
            absl::FailedPreconditionError("step 1 of 2 does not hold"));
  EXPECT_THAT(EndsOf(result), ElementsAre(kFails, kHolds, kHolds));
  EXPECT_TRUE(result.outcomes[1].cleanup);
}

TEST(CleanupTest, RunsAfterADeadlineOfACall) {
  const RunResult result =
      RunSteps(kTwoAndTwo, {absl::DeadlineExceededError("late"), kOk});
  EXPECT_THAT(EndsOf(result), ElementsAre(kFails, kHolds, kHolds));
}

TEST(CleanupTest, RunsAfterTheDaemonWasLost) {
  const RunResult result = RunSteps(kTwoAndTwo, {kLostDaemon, kOk});
  EXPECT_EQ(result.status, kLostDaemon);
  EXPECT_THAT(EndsOf(result), ElementsAre(kLost, kHolds, kHolds));
}

TEST(CleanupTest, EachRunsEvenIfOneBeforeItFails) {
  const RunResult result = RunSteps(kTwoAndTwo, {kOk, kOk, NotFound(), kOk});
  EXPECT_THAT(EndsOf(result), ElementsAre(kHolds, kHolds, kFails, kHolds));
  EXPECT_EQ(result.status,
            absl::FailedPreconditionError("cleanup step 1 of 2 does not hold"));
}

TEST(CleanupTest, FirstFailureOfTheStepsDecides) {
  const RunResult failed = RunSteps(kTwoAndTwo, {kOk, NotFound()});
  EXPECT_EQ(failed.status,
            absl::FailedPreconditionError("step 2 of 2 does not hold; 2 of 2 "
                                          "cleanup steps do not hold"));
  const RunResult lost = RunSteps(kTwoAndTwo, {kLostDaemon});
  EXPECT_EQ(lost.status,
            absl::UnavailableError("gone; 2 of 2 cleanup steps do not hold"));
  EXPECT_THAT(EndsOf(lost), ElementsAre(kLost, kLost, kLost));
}

TEST(CleanupTest, DaemonLostInCleanupHasItsOwnCode) {
  EXPECT_EQ(RunSteps(kTwoAndTwo, {kOk, kOk, kOk, kLostDaemon}).status,
            absl::UnavailableError("cleanup step 2 of 2 does not hold"));
  EXPECT_EQ(
      RunSteps(kTwoAndTwo, {kOk, kOk, NotFound(), kLostDaemon}).status.code(),
      absl::StatusCode::kFailedPrecondition);
}

TEST(CleanupTest, RunsAfterAnInterruptionBetweenSteps) {
  FakeControl control;
  const RunResult result =
      RunSteps(kTwoAndTwo, {kOk}, control, {},
               [&](size_t) { control.interrupted = true; });
  EXPECT_EQ(result.status,
            absl::CancelledError("interrupted before step 2 of 2"));
  EXPECT_THAT(result.methods,
              ElementsAre(HasSubstr("GetHost"), HasSubstr("ListDomains"),
                          HasSubstr("ListFaults")));
}

TEST(CleanupTest, RunsAfterACallThatAnInterruptionCancelled) {
  FakeControl control;
  const RunResult result =
      RunSteps(kTwoAndTwo, {absl::CancelledError("c"), kOk}, control, {},
               [&](size_t) { control.interrupted = true; });
  EXPECT_EQ(result.status, absl::CancelledError("interrupted in step 1 of 2"));
  EXPECT_THAT(EndsOf(result), ElementsAre(kInterrupted, kHolds, kHolds));
}

TEST(CleanupTest, CancelledWithoutAnInterruptionIsAnAnswer) {
  EXPECT_TRUE(RunSteps("steps { get_host {} expect_error { code: \"CANCELLED\" "
                       "} }",
                       {absl::CancelledError("c")})
                  .status.ok());
}

constexpr char kFourSteps[] =
    "steps { get_host {} } steps { audit_host {} } steps { list_domains {} } "
    "steps { list_faults {} }";

TEST(KeepGoingTest, CountsTheStepsThatFail) {
  const RunResult result = RunSteps(
      kFourSteps, {kOk, NotFound(), NotFound(), kOk}, {.keep_going = true});
  EXPECT_THAT(EndsOf(result), ElementsAre(kHolds, kFails, kFails, kHolds));
  EXPECT_EQ(result.status,
            absl::FailedPreconditionError(
                "2 of 4 steps do not hold, the first is step 2"));
  EXPECT_EQ(
      RunSteps(kFourSteps, {kOk, kOk, NotFound(), kOk}, {.keep_going = true})
          .status.message(),
      "1 of 4 steps does not hold, step 3");
  EXPECT_TRUE(RunSteps(kFourSteps, {kOk}, {.keep_going = true}).status.ok());
}

TEST(KeepGoingTest, LostDaemonEndsTheStepsNevertheless) {
  const RunResult result =
      RunSteps(kFourSteps, {NotFound(), kLostDaemon}, {.keep_going = true});
  EXPECT_THAT(EndsOf(result), ElementsAre(kFails, kLost));
  EXPECT_EQ(result.status, absl::FailedPreconditionError(
                               "1 of 4 steps does not hold, step 1; gone"));
}

TEST(KeepGoingTest, StepWithoutItsVariableIsSkipped) {
  const RunResult result = RunSteps(
      "steps { create_domain {} save { name: \"id\" field: \"domain.domid\" } }"
      "steps { get_domain {} set { field: \"request.domain.domid\" variable: "
      "\"id\" } } steps { get_host {} }",
      {NotFound(), kOk}, {.keep_going = true});
  EXPECT_THAT(EndsOf(result), ElementsAre(kFails, kSkipped, kHolds));
  EXPECT_THAT(result.outcomes[1].result.faults,
              ElementsAre("${id} is not set: step 1 has not saved it"));
  EXPECT_EQ(result.status.message(),
            "1 of 3 steps does not hold, step 1; 1 skipped");
}

std::string PollFor(const std::string& rest) {
  return "steps { poll { timeout_ms: 1000 interval_ms: 300 } " + rest + " }";
}

TEST(PollTest, NotFoundIsTriedAgainUntilTheDomainIsThere) {
  FakeControl control;
  const RunResult result = RunSteps(
      PollFor("get_domain { expect { domain { domid: 7 } } }"),
      {NotFound(), "domain { domid: 6 }", "domain { domid: 7 }"}, control);
  EXPECT_TRUE(result.status.ok());
  EXPECT_EQ(result.outcomes[0].result.calls, 3u);
  EXPECT_THAT(result.outcomes[0].result.faults, IsEmpty());
  EXPECT_THAT(control.waits, SizeIs(2));
}

TEST(PollTest, SuccessIsTriedAgainUntilTheDomainIsGone) {
  const RunResult result = RunSteps(
      PollFor("get_domain {} expect_error { code: \"NOT_FOUND\" }"),
      {"domain { domid: 7 }",
       RemoteError(grpc::StatusCode::FAILED_PRECONDITION, "DOMAIN_DYING"),
       NotFound()});
  EXPECT_TRUE(result.status.ok());
  EXPECT_EQ(result.outcomes[0].result.calls, 3u);
}

TEST(PollTest, FirstAnswerThatHoldsNeedsNoWait) {
  FakeControl control;
  EXPECT_TRUE(RunSteps(PollFor("get_host {}"), {kOk}, control).status.ok());
  EXPECT_THAT(control.waits, IsEmpty());
}

TEST(PollTest, TimeoutSaysHowLongHowOftenAndTheLastDifference) {
  FakeControl control;
  const RunResult result =
      RunSteps(PollFor("get_domain { expect { domain { domid: 7 } } }"),
               {"domain { domid: 5 }", "domain { domid: 6 }"}, control);
  EXPECT_EQ(result.status.message(), "step 1 of 1 does not hold");
  EXPECT_THAT(result.outcomes[0].result.faults,
              ElementsAre("not so within 1s (4 calls); at last:",
                          "the response differs, expected -> got:",
                          "modified: domain.domid: 7 -> 6"));
  // Calls at 0, 300, 600 and 900 ms; the deadline is not waited past.
  EXPECT_THAT(control.waits,
              ElementsAre(absl::Milliseconds(300), absl::Milliseconds(300),
                          absl::Milliseconds(300), absl::Milliseconds(100)));
}

TEST(PollTest, CallsMayNotOutlastTheDeadline) {
  const RunResult result = RunSteps(PollFor("get_host {}"), {NotFound()});
  EXPECT_THAT(result.timeouts,
              ElementsAre(absl::Milliseconds(1000), absl::Milliseconds(700),
                          absl::Milliseconds(400), absl::Milliseconds(100)));
  EXPECT_THAT(RunSteps("steps { get_host {} }", {kOk}).timeouts,
              ElementsAre(absl::InfiniteDuration()));
}

TEST(PollTest, CallCutShortByTheDeadlineIsNoAnswer) {
  FakeControl control;
  // "Any error" must not take the deadline's for the one that it waits for.
  const RunResult result =
      RunSteps(PollFor("get_domain {} expect_error {}"),
               {"domain {}", absl::DeadlineExceededError("late")}, control, {},
               [&](size_t call) {
                 if (call == 2) control.now += absl::Milliseconds(700);
               });
  EXPECT_THAT(EndsOf(result), ElementsAre(kFails));
  EXPECT_THAT(result.outcomes[0].result.faults,
              ElementsAre("not so within 1s (2 calls); at last:",
                          "expected: any error", "got:      success"));
}

TEST(PollTest, DaemonThatNeverAnswersIsSaid) {
  FakeControl control;
  const RunResult result = RunSteps(
      PollFor("get_host {}"), {absl::DeadlineExceededError("late")}, control,
      {}, [&](size_t) { control.now += absl::Milliseconds(1000); });
  EXPECT_THAT(result.outcomes[0].result.faults,
              ElementsAre("not so within 1s (1 call); at last:",
                          "got:      no answer"));
}

TEST(PollTest, ShorterDeadlineOfACallIsTriedAgain) {
  const RunResult result = RunSteps(PollFor("get_host {}"),
                                    {absl::DeadlineExceededError("late"), kOk});
  EXPECT_TRUE(result.status.ok());
}

TEST(PollTest, ErrorThatWouldComeAgainEndsTheStepAtOnce) {
  for (const auto code :
       {grpc::StatusCode::INVALID_ARGUMENT, grpc::StatusCode::UNIMPLEMENTED}) {
    const RunResult result =
        RunSteps(PollFor("get_host {}"), {RemoteError(code, "NO"), kOk});
    EXPECT_THAT(EndsOf(result), ElementsAre(kFails));
    EXPECT_THAT(result.methods, SizeIs(1));
    EXPECT_THAT(result.outcomes[0].result.faults,
                ElementsAre("expected: success", HasSubstr("NO: a message")));
  }
  const RunResult expected =
      RunSteps(PollFor("get_host {} expect_error { reason: \"NO\" }"),
               {kOk, RemoteError(grpc::StatusCode::INVALID_ARGUMENT, "NO")});
  EXPECT_TRUE(expected.status.ok());
}

TEST(PollTest, LostDaemonEndsTheStepAtOnce) {
  const RunResult result = RunSteps(PollFor("get_host {}"), {kLostDaemon, kOk});
  EXPECT_THAT(EndsOf(result), ElementsAre(kLost));
  EXPECT_EQ(result.status.code(), absl::StatusCode::kUnavailable);
}

TEST(PollTest, InterruptionEndsTheWait) {
  FakeControl control;
  control.interrupt_in_wait = 2;
  const RunResult result =
      RunSteps(PollFor("get_host {}") + "cleanup { audit_host {} }",
               {NotFound(), NotFound(), kOk}, control);
  EXPECT_THAT(EndsOf(result), ElementsAre(kInterrupted, kHolds));
  EXPECT_EQ(result.outcomes[0].result.calls, 2u);
  EXPECT_THAT(result.outcomes[0].result.faults,
              ElementsAre("expected: success", HasSubstr("NOT_FOUND")));
}

TEST(PollTest, CleanupPollsAfterAnInterruption) {
  FakeControl control;
  const RunResult result = RunSteps(
      "steps { get_host {} } cleanup { poll { timeout_ms: 1000 } get_host {} }",
      {kOk, NotFound(), kOk}, control, {},
      [&](size_t) { control.interrupted = true; });
  EXPECT_THAT(EndsOf(result), ElementsAre(kHolds, kHolds));
  EXPECT_EQ(result.outcomes[1].result.calls, 2u);
}

constexpr char kCreates[] =
    "steps { create_domain { expect { domain { state: DOMAIN_STATE_RUNNING } } "
    "} save { name: \"id\" field: \"domain.domid\" } "
    "save { name: \"uuid\" field: \"domain.uuid\" } }\n";
constexpr char kDestroysById[] =
    "cleanup { destroy_domain {} "
    "set { field: \"request.domain.domid\" variable: \"id\" } }\n";
constexpr char kCreated[] =
    "domain { domid: 7 uuid: \"u-1\" state: DOMAIN_STATE_RUNNING }";

TEST(SavedVariablesTest, GoIntoNumbersAndStringsOfLaterRequests) {
  const RunResult result = RunSteps(
      absl::StrCat(kCreates,
                   "steps { get_domain { request { domain { uuid: \"${uuid}\" "
                   "} } } } steps { rename_domain { request { new_name: "
                   "\"web-${id}\" } } set { field: \"request.domain.domid\" "
                   "variable: \"id\" } }",
                   kDestroysById),
      {kCreated, kOk, kOk, kOk});
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_THAT(result.requests,
              ElementsAre("", "domain { uuid: \"u-1\" } ",
                          "domain { domid: 7 } new_name: \"web-7\" ",
                          "domain { domid: 7 } "));
}

TEST(SavedVariablesTest, AreComparedWithLaterResponses) {
  const std::string script = absl::StrCat(
      kCreates,
      "steps { get_domain { expect { domain { uuid: \"${uuid}\" } } } set { "
      "field: \"expect.domain.domid\" variable: \"id\" } }");
  EXPECT_TRUE(RunSteps(script, {kCreated, kCreated}).status.ok());
  const RunResult other =
      RunSteps(script, {kCreated, "domain { uuid: \"u-2\" }"});
  EXPECT_THAT(other.outcomes[1].result.faults,
              ElementsAre("the response differs, expected -> got:",
                          "modified: domain.uuid: \"u-1\" -> \"u-2\"",
                          "modified: domain.domid: 7 -> 0"));
  const RunResult missing = RunSteps(script, {kCreated, ""});
  EXPECT_THAT(missing.outcomes[1].result.faults,
              testing::Contains("missing: domain.domid: 'domain' is not set"));
}

TEST(SavedVariablesTest, StringsAreShownEscaped) {
  const RunResult result = RunSteps(
      absl::StrCat(kCreates,
                   "steps { get_domain {} set { field: \"expect.domain.uuid\" "
                   "variable: \"uuid\" } }"),
      {kCreated, "domain { uuid: \"\\n\\033\" }"});
  EXPECT_THAT(
      result.outcomes[1].result.faults,
      testing::Contains("modified: domain.uuid: \"u-1\" -> \"\\n\\033\""));
}

TEST(SavedVariablesTest, AreSetEvenIfTheResponseDiffers) {
  const RunResult result =
      RunSteps(absl::StrCat(kCreates, kDestroysById),
               {"domain { domid: 7 state: DOMAIN_STATE_PAUSED }", kOk});
  EXPECT_THAT(EndsOf(result), ElementsAre(kFails, kHolds));
  EXPECT_EQ(result.requests[1], "domain { domid: 7 } ");
}

TEST(SavedVariablesTest, CleanupStepWithoutItsVariableIsSkipped) {
  const RunResult result = RunSteps(
      absl::StrCat(kCreates, kDestroysById, "cleanup { audit_host {} }"),
      {NotFound(), kOk});
  EXPECT_THAT(EndsOf(result), ElementsAre(kFails, kSkipped, kHolds));
  EXPECT_THAT(result.methods, SizeIs(2));
  EXPECT_THAT(result.outcomes[1].result.faults,
              ElementsAre("${id} is not set: step 1 has not saved it"));
  // A skipped step is not a failure.
  EXPECT_EQ(result.status.message(), "step 1 of 1 does not hold");
}

TEST(SavedVariablesTest, FieldThatTheResponseLacksDoesNotHold) {
  const RunResult result = RunSteps(
      "steps { list_domains {} save { name: \"id\" field: "
      "\"domains[1].domid\" } }",
      {"domains { domid: 1 }"});
  EXPECT_THAT(result.outcomes[0].result.faults,
              ElementsAre("cannot save id: domains[1].domid: 'domains' has 1 "
                          "elements"));
}

TEST(SavedVariablesTest, PollWaitsForAFieldToSave) {
  const RunResult result = RunSteps(
      "steps { poll { timeout_ms: 1000 } list_domains {} save { name: \"id\" "
      "field: \"domains[1].domid\" } }" +
          std::string(kDestroysById),
      {"domains { domid: 0 }", "domains {} domains { domid: 9 }", kOk});
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_THAT(result.requests, ElementsAre("", "", "domain { domid: 9 } "));
}

TEST(SavedVariablesTest, ValueThatDoesNotFitFailsTheStep) {
  const RunResult result = RunSteps(
      "steps { get_domain {} save { name: \"n\" field: "
      "\"domain.memory.current_pages\" } } steps { get_domain {} set { field: "
      "\"request.domain.domid\" variable: \"n\" } }",
      {"domain { memory { current_pages: 4294967296 } }", kOk});
  EXPECT_THAT(EndsOf(result), ElementsAre(kHolds, kFails));
  EXPECT_THAT(result.outcomes[1].result.faults,
              ElementsAre(HasSubstr("4294967296 does not fit")));
  EXPECT_THAT(result.methods, SizeIs(1));
}

}  // namespace
}  // namespace simvisor::client
