// The table of incoming migrations, and its bounds.

#include "server/sessions/incoming_migrations.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/machine/heap_trim.h"
#include "server/machine/machine.h"
#include "tests/support/host_testing.h"

namespace simvisor::server {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class ServerIncomingMigrationsTest : public testing::Test {
 protected:
  absl::Status Begin(const std::string& id, const std::string& source = "s") {
    return migrations_.Begin(
        id, source, /*start_paused=*/false,
        [this](const absl::Status& why) { cancelled_.push_back(why); });
  }
  // Receives a domain and commits it; the source does not acknowledge it.
  void Commit(const std::string& id) {
    ASSERT_THAT(Begin(id), IsOk());
    ASSERT_THAT(
        migrations_.Arrived(id, MustCreate(*host_, MakeSpec(id, 500), true)),
        IsOk());
    ASSERT_THAT(migrations_.Decide(id, TargetEvent::kCommit), IsOk());
    migrations_.CallEnded(id);
  }
  std::string StateOf(const std::string& id) {
    for (const auto& [place, one] : migrations_.List({}, 1000)) {
      if (one.id == id) return std::string(NameOf(one.state));
    }
    return "";
  }

  static MachineOptions Options(std::atomic<int>* trims) {
    MachineOptions options;
    options.trim_rule = HeapTrimRule(/*many=*/1, HeapTrimRule::kManyPages);
    options.trim = [trims] { ++*trims; };
    return options;
  }

  std::atomic<int> trims_ = 0;
  Machine machine_{MakeHost(50000), Options(&trims_)};
  Host* const host_ = &machine_.host();
  IncomingMigrations migrations_{
      &machine_,
      SystemClock(),
      {.receiving = 3, .ended = 2, .unacknowledged = 4}};
  std::vector<absl::Status> cancelled_;
};

TEST_F(ServerIncomingMigrationsTest, NumberOfReceivingMigrationsIsBounded) {
  for (const char* id : {"a", "b", "c"}) ASSERT_THAT(Begin(id), IsOk());
  EXPECT_THAT(Begin("d"), IsError(Code::kResourceExhausted,
                                  Reason::kCallsExhausted, HasSubstr("d")));
  ASSERT_THAT(migrations_.Decide("a", TargetEvent::kBroken), IsOk());
  migrations_.CallEnded("a");
  EXPECT_THAT(Begin("d"), IsOk());
}

TEST_F(ServerIncomingMigrationsTest, CallOfADroppedMigrationIsToldWhy) {
  ASSERT_THAT(Begin("a"), IsOk());
  ASSERT_THAT(migrations_.Decide("a", TargetEvent::kDrop), IsOk());
  ASSERT_THAT(cancelled_, SizeIs(1));
  EXPECT_THAT(cancelled_[0],
              IsError(Code::kFailedPrecondition, Reason::kMigrationSettled,
                      HasSubstr("was dropped")));
}

TEST_F(ServerIncomingMigrationsTest, DomainThatIsDroppedTrimsTheHeap) {
  ASSERT_THAT(Begin("a"), IsOk());
  ASSERT_THAT(
      migrations_.Arrived("a", MustCreate(*host_, MakeSpec("a", 500), true)),
      IsOk());
  ASSERT_THAT(migrations_.Decide("a", TargetEvent::kDrop), IsOk());
  EXPECT_EQ(host_->guest_count(), 0u);
  while (trims_.load() == 0) std::this_thread::yield();
  EXPECT_EQ(trims_.load(), 1);
}

TEST_F(ServerIncomingMigrationsTest,
       ForgottenCommitIsNotReportedAsNeverHeardOf) {
  EXPECT_THAT(
      migrations_.Decide("zero", TargetEvent::kAsked),
      IsError(Code::kNotFound, Reason::kMigrationNotFound, HasSubstr("zero")));
  for (int i = 0; i < 4; ++i) Commit(absl::StrCat("m-", i));
  EXPECT_EQ(StateOf("m-0"), "COMMITTED");
  EXPECT_THAT(
      migrations_.Decide("zero", TargetEvent::kAsked),
      IsError(Code::kNotFound, Reason::kMigrationNotFound, HasSubstr("zero")));
  Commit("m-4");
  EXPECT_EQ(StateOf("m-0"), "");
  EXPECT_EQ(StateOf("m-1"), "COMMITTED");
  // If its source were told that, it would run the domain again.
  EXPECT_THAT(migrations_.Decide("m-0", TargetEvent::kAsked),
              IsError(Code::kFailedPrecondition, Reason::kMigrationSettled,
                      HasSubstr("m-0")));
  // An operator who names a wrong id is told so.
  EXPECT_THAT(
      migrations_.Decide("m-0", TargetEvent::kKeep),
      IsError(Code::kNotFound, Reason::kMigrationNotFound, HasSubstr("m-0")));
}

TEST_F(ServerIncomingMigrationsTest, AcknowledgedMigrationsMakeRoom) {
  for (int i = 0; i < 20; ++i) {
    Commit(absl::StrCat("m-", i));
    migrations_.Acknowledge(absl::StrCat("m-", i));
  }
  EXPECT_THAT(migrations_.List({}, 1000), SizeIs(2));
  EXPECT_THAT(
      migrations_.Decide("m-0", TargetEvent::kAsked),
      IsError(Code::kNotFound, Reason::kMigrationNotFound, HasSubstr("m-0")));
}

TEST_F(ServerIncomingMigrationsTest,
       NameOfTheSourceIsMadePrintableAndTruncated) {
  ASSERT_THAT(
      Begin("a", "evil\x1b[2J\r\nUNKNOWN forged\xff" + std::string(500, 'x')),
      IsOk());
  const auto listed = migrations_.List({}, 10);
  ASSERT_THAT(listed, SizeIs(1));
  const std::string& peer = listed[0].second.peer;
  EXPECT_THAT(peer,
              testing::StartsWith("evil\\x1b[2J\\x0d\\x0aUNKNOWN forged\\xff"));
  EXPECT_LE(peer.size(), 256u);
}

TEST_F(ServerIncomingMigrationsTest, ListContinuesFromAnyPlace) {
  for (const char* id : {"a", "b", "c"}) ASSERT_THAT(Begin(id), IsOk());
  ASSERT_THAT(
      migrations_.Arrived("c", MustCreate(*host_, MakeSpec("c", 500), true)),
      IsOk());
  MigrationPlace from;
  // The migration that needs a decision comes first.
  for (const char* id : {"c", "a", "b"}) {
    const auto page = migrations_.List(from, 1);
    ASSERT_THAT(page, SizeIs(1));
    EXPECT_EQ(page[0].second.id, id);
    from = page[0].first;
    ++from.number;
  }
  EXPECT_THAT(migrations_.List(from, 10), IsEmpty());
}

}  // namespace
}  // namespace simvisor::server
