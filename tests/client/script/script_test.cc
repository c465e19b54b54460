// Scripts: parsing, partial comparison, and the run of their steps.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/api/error.h"
#include "client/script/response_match.h"
#include "client/script/script_file.h"
#include "client/script/script_runner.h"
#include "client/script/step_call.h"
#include "grpcpp/support/status.h"
#include "simvisor/v1/script.pb.h"
#include "tests/client/script/script_testing.h"

namespace simvisor::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string ParseError(const std::string& text) {
  const auto file = ParseScript("a.textproto", text);
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(file.status().message());
}

TEST(ScriptFileTest, SyntaxErrorHasLineAndColumn) {
  EXPECT_THAT(ParseError("title: \"x\"\nsteps { nonsense { } }"),
              AllOf(HasSubstr("a.textproto:2:"), HasSubstr("nonsense")));
  EXPECT_THAT(ParseError("title: \"x"), HasSubstr("a.textproto:1:"));
}

TEST(ScriptFileTest, StepWithoutACallIsPointedAt) {
  EXPECT_THAT(ParseError("steps { get_host {} }\nsteps { name: \"b\" }"),
              HasSubstr("a.textproto:2:1: step 2: the step has no call"));
}

TEST(ScriptFileTest, StepCannotExpectBothOutcomes) {
  EXPECT_THAT(ParseError("steps { get_host { expect {} } expect_error {} }"),
              HasSubstr("only one can hold"));
}

TEST(ScriptFileTest, CodeThatDoesNotExistIsRefused) {
  EXPECT_THAT(
      ParseError("steps { get_host {} expect_error { code: \"NOTFOUND\" } }"),
      HasSubstr("'NOTFOUND' is not a canonical code"));
}

TEST(ScriptFileTest, EmptyScriptIsRefused) {
  EXPECT_THAT(ParseError(""), HasSubstr("no steps"));
}

TEST(ScriptFileTest, OversizedScriptIsRefused) {
  EXPECT_THAT(ParseError(std::string(kMaxScriptBytes + 1, '#')),
              HasSubstr("at most 4194304"));
}

TEST(ScriptFileTest, TwoCallsInAStepAreRefused) {
  EXPECT_THAT(ParseError("steps { get_host {} audit_host {} }"),
              HasSubstr("audit_host"));
}

TEST(StepCallTest, EveryCallOfAStepHasAMethodAndAResponse) {
  const auto* calls = v1::Step::descriptor()->FindOneofByName("call");
  ASSERT_GT(calls->field_count(), 20);
  for (int i = 0; i < calls->field_count(); ++i) {
    v1::Step step;
    step.GetReflection()->MutableMessage(&step, calls->field(i));
    const StepCall call(step);
    ASSERT_NE(call.method(), nullptr) << calls->field(i)->name();
    EXPECT_EQ(call.method()->output_type(),
              call.NewResponse()->GetDescriptor());
    EXPECT_EQ(call.expected(), nullptr);
  }
}

// The differences of a GetDomain response from what a script expects.
std::vector<std::string> Mismatches(const std::string& expect,
                                    const v1::GetDomainResponse& actual) {
  auto file =
      ParseScript("a", "steps { get_domain { expect { " + expect + " } } }");
  EXPECT_TRUE(file.ok()) << file.status();
  const StepCall call(file->script.steps(0));
  auto* step = file->locations->GetTreeForNested(
      v1::Script::descriptor()->FindFieldByName("steps"), 0);
  return FindMismatches(*call.expected(), actual,
                        call.ExpectedLocations(*step));
}

v1::GetDomainResponse SomeDomain() {
  v1::GetDomainResponse response;
  response.mutable_domain()->set_domid(3);
  response.mutable_domain()->set_name("web");
  response.mutable_domain()->mutable_memory()->set_current_pages(512);
  response.mutable_domain()->add_pci_devices("0000:01:00.0");
  for (const uint64_t size : {4096, 8192}) {
    auto* entry = response.mutable_domain()->mutable_e820()->add_entries();
    entry->set_start_bytes(size);
    entry->set_size_bytes(size);
  }
  return response;
}

TEST(ResponseMatchTest, FieldsThatAreNotNamedMayBeAnything) {
  EXPECT_THAT(Mismatches("", SomeDomain()), IsEmpty());
  EXPECT_THAT(Mismatches("domain { name: \"web\" }", SomeDomain()), IsEmpty());
}

TEST(ResponseMatchTest, NamedFieldsMustBeEqual) {
  EXPECT_THAT(
      Mismatches("domain { name: \"db\" memory { current_pages: 512 } }",
                 SomeDomain()),
      ElementsAre("modified: domain.name: \"db\" -> \"web\""));
}

TEST(ResponseMatchTest, ExplicitDefaultsMustBeEqual) {
  EXPECT_THAT(Mismatches("domain { domid: 0 }", SomeDomain()),
              ElementsAre("modified: domain.domid: 0 -> 3"));
  EXPECT_THAT(Mismatches("domain { name: \"\" }", SomeDomain()),
              ElementsAre("modified: domain.name: \"\" -> \"web\""));
  EXPECT_THAT(
      Mismatches("domain { memory { current_pages: 0 } }", SomeDomain()),
      SizeIs(1));
  EXPECT_THAT(
      Mismatches("domain { vcpus: 0 memory { max_pages: 0 } }", SomeDomain()),
      IsEmpty());
}

TEST(ResponseMatchTest, ExplicitDefaultInARepeatedMessageMustBeEqual) {
  EXPECT_THAT(
      Mismatches("domain { e820 { entries { start_bytes: 4096 } entries { "
                 "start_bytes: 0 } } }",
                 SomeDomain()),
      testing::Contains(HasSubstr("entries[1].start_bytes: 0 -> 8192")));
}

TEST(ResponseMatchTest, RepeatedFieldsMustBeEqualInLength) {
  EXPECT_THAT(Mismatches("domain { e820 { entries { start_bytes: 4096 } } }",
                         SomeDomain()),
              SizeIs(1));
  EXPECT_THAT(
      Mismatches("domain { e820 { entries {} entries {} } }", SomeDomain()),
      IsEmpty());
  EXPECT_THAT(
      Mismatches("domain { pci_devices: \"0000:02:00.0\" }", SomeDomain()),
      SizeIs(1));
}

TEST(ScriptRunnerTest, StepsRunInOrderUnderTheirNames) {
  const RunResult result =
      RunSteps("steps { name: \"one\" get_host {} } steps { audit_host {} }",
               {absl::OkStatus(), absl::OkStatus()});
  EXPECT_TRUE(result.status.ok());
  EXPECT_THAT(result.methods, ElementsAre("simvisor.v1.HostService.GetHost",
                                          "simvisor.v1.HostService.AuditHost"));
  EXPECT_EQ(result.outcomes[0].name, "one");
  EXPECT_EQ(result.outcomes[1].name, "AuditHost");
  EXPECT_EQ(result.outcomes[1].total, 2);
}

TEST(ScriptRunnerTest, FirstStepThatDoesNotHoldEndsTheRun) {
  const RunResult result = RunSteps(
      "steps { audit_host { expect { clean: true } } } steps { get_host {} }",
      {absl::OkStatus(), absl::OkStatus()});
  EXPECT_EQ(result.status.message(), "step 1 of 2 does not hold");
  EXPECT_THAT(result.methods, SizeIs(1));
  EXPECT_THAT(result.outcomes[0].result.faults,
              testing::Contains(HasSubstr("clean: true")));
}

TEST(ScriptRunnerTest, ExpectedErrorHoldsByCodeAndReason) {
  const auto error =
      RemoteError(grpc::StatusCode::NOT_FOUND, "DOMAIN_NOT_FOUND");
  for (const std::string expected :
       {"", "code: \"NOT_FOUND\"", "reason: \"DOMAIN_NOT_FOUND\"",
        "code: \"NOT_FOUND\" reason: \"DOMAIN_NOT_FOUND\""}) {
    EXPECT_TRUE(
        RunSteps("steps { get_host {} expect_error { " + expected + " } }",
                 {error})
            .status.ok())
        << expected;
  }
}

TEST(ScriptRunnerTest, UnexpectedErrorIsShown) {
  const auto error =
      RemoteError(grpc::StatusCode::NOT_FOUND, "DOMAIN_NOT_FOUND");
  for (const std::string expected :
       {"code: \"ABORTED\"", "reason: \"NAME_IN_USE\""}) {
    const RunResult result = RunSteps(
        "steps { get_host {} expect_error { " + expected + " } }", {error});
    EXPECT_FALSE(result.status.ok());
    EXPECT_THAT(
        result.outcomes[0].result.faults,
        testing::Contains(HasSubstr("NOT_FOUND DOMAIN_NOT_FOUND: a message")));
  }
}

TEST(ScriptRunnerTest, SuccessInsteadOfAnErrorDoesNotHold) {
  const RunResult result =
      RunSteps("steps { get_host {} expect_error {} }", {absl::OkStatus()});
  EXPECT_THAT(result.outcomes[0].result.faults,
              ElementsAre("expected: any error", "got:      success"));
}

TEST(ScriptRunnerTest, ErrorInsteadOfSuccessDoesNotHold) {
  const RunResult result =
      RunSteps("steps { get_host {} }",
               {RemoteError(grpc::StatusCode::ABORTED, "RACE_LOST")});
  EXPECT_THAT(result.outcomes[0].result.faults,
              ElementsAre("expected: success",
                          "got:      ABORTED RACE_LOST: a message"));
}

TEST(ScriptRunnerTest, LostDaemonIsNotTheAnswerOfAStep) {
  const RunResult result = RunSteps("steps { get_host {} expect_error {} }",
                                    {absl::UnavailableError("gone")});
  EXPECT_EQ(result.status, absl::UnavailableError("gone"));
  EXPECT_THAT(EndsOf(result), ElementsAre(StepEnd::kLost));
  EXPECT_THAT(result.outcomes[0].result.faults, ElementsAre("got:      gone"));
}

TEST(ErrorTest, CodesPassThroughWithTheirReason) {
  const auto error =
      RemoteError(grpc::StatusCode::RESOURCE_EXHAUSTED, "MAX_MEM_EXCEEDED");
  EXPECT_EQ(error.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(error), "MAX_MEM_EXCEEDED");
  EXPECT_EQ(Describe(error), "a message (RESOURCE_EXHAUSTED MAX_MEM_EXCEEDED)");
  EXPECT_EQ(Describe(FromGrpc(
                grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "m"), "unix:/x")),
            "m (UNIMPLEMENTED)");
  EXPECT_EQ(Describe(absl::InvalidArgumentError("ours")), "ours");
}

TEST(ErrorTest, UnreachableDaemonIsReportedInOneSentence) {
  const auto status = FromGrpc(
      grpc::Status(grpc::StatusCode::UNAVAILABLE,
                   "failed to connect to all addresses; last error: UNKNOWN: "
                   "unix:/x: Failed to connect to remote host: Connection "
                   "refused"),
      "unix:/x");
  EXPECT_EQ(Describe(status),
            "cannot reach unix:/x: Connection refused; is simvisord running?");
}

TEST(ErrorTest, DetailsThatAreNotAMessageAreIgnored) {
  const auto status = FromGrpc(
      grpc::Status(grpc::StatusCode::INTERNAL, "m", "\xff\xff\xff"), "unix:/x");
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(ReasonOf(status), "");
}

}  // namespace
}  // namespace simvisor::client
