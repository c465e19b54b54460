// How a source reads the answers of its peer.

#include "server/sessions/peer.h"

#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/sessions/answer_slot.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;
using testing::Not;

QuestionAnswer Said(const std::string& id, std::optional<TargetState> state) {
  QuestionAnswer answer;
  answer.id = id;
  answer.state = state;
  return answer;
}

QuestionAnswer Failed(Code code, std::optional<Reason> reason) {
  QuestionAnswer answer;
  answer.status.code = code;
  answer.status.reason = reason;
  answer.status.text = "no\x1b[2J";
  return answer;
}

TEST(ServerPeerTest, OnlyFinalAnswersAboutThisMigrationCount) {
  EXPECT_EQ(*EventOf(Said("m", TargetState::kCommitted), "m", "there"),
            SourceEvent::kCommitted);
  EXPECT_EQ(*EventOf(Said("m", TargetState::kDropped), "m", "there"),
            SourceEvent::kDropped);
  for (const QuestionAnswer& answer :
       {Said("m", TargetState::kPrepared), Said("m", TargetState::kReceiving),
        Said("m", std::nullopt), Said("other", TargetState::kDropped),
        Said("", TargetState::kCommitted)}) {
    EXPECT_THAT(EventOf(answer, "m", "there").status(),
                IsError(Code::kFailedPrecondition, Reason::kTargetMisbehaved,
                        HasSubstr("there")));
  }
}

TEST(ServerPeerTest, FactsOfAKnownNameArePassedOnAndMadePrintable) {
  QuestionAnswer answer =
      Failed(Code::kResourceExhausted, Reason::kHostMemoryExhausted);
  answer.status.facts = {{"available", "12"},
                         {"value", "\x1b[2J"},
                         {"simvisor/reason", "INTERNAL"}};
  const absl::Status status = FromPeer(answer.status, "migrate", "there");
  EXPECT_EQ(ReasonOf(status), "HOST_MEMORY_EXHAUSTED");
  EXPECT_THAT(FactsOf(status),
              testing::ElementsAre(testing::Pair("available", "12"),
                                   testing::Pair("value", "\\x1b[2J")));
}

TEST(ServerPeerTest, NeverHeardOfItMustComeFromThePeer) {
  EXPECT_EQ(*EventOf(Failed(Code::kNotFound, Reason::kMigrationNotFound), "m",
                     "there"),
            SourceEvent::kNeverHeardOf);
  EXPECT_THAT(
      EventOf(Failed(Code::kNotFound, std::nullopt), "m", "there").status(),
      IsError(Code::kUnavailable, Reason::kTargetUnreachable,
              HasSubstr("there")));
  EXPECT_THAT(
      EventOf(Failed(Code::kFailedPrecondition, Reason::kMigrationSettled), "m",
              "there")
          .status(),
      IsError(Code::kFailedPrecondition, Reason::kMigrationSettled,
              testing::AllOf(HasSubstr("no\\x1b[2J"), Not(HasSubstr("\x1b")))));
}

TEST(ServerAnswerSlotTest, AnAnswerCountsOnceAndInItsTurn) {
  AnswerSlot slot;
  EXPECT_THAT(slot.Put(TargetAnswer::kAdmitted),
              IsError(Code::kFailedPrecondition, Reason::kTargetMisbehaved,
                      HasSubstr("ADMITTED where nothing")));
  slot.Expect(TargetAnswer::kPrepared);
  EXPECT_FALSE(slot.has_answer());
  EXPECT_THAT(slot.Put(TargetAnswer::kCommitted),
              IsError(Code::kFailedPrecondition, Reason::kTargetMisbehaved,
                      HasSubstr("COMMITTED where PREPARED")));
  EXPECT_THAT(slot.Put(TargetAnswer::kPrepared), IsOk());
  EXPECT_TRUE(slot.has_answer());
  EXPECT_FALSE(slot.Put(TargetAnswer::kPrepared).ok());
  slot.Take();
  EXPECT_FALSE(slot.has_answer());
  EXPECT_FALSE(slot.Put(TargetAnswer::kNone).ok());
}

}  // namespace
}  // namespace simvisor::server
