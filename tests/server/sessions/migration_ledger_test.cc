#include "server/sessions/migration_ledger.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace simvisor::server {
namespace {

struct Note {
  int kind = 0;
};
using Ledger = MigrationLedger<SourceState, Note>;

OutgoingRecord Describe(absl::string_view id, const Ledger::Row& row) {
  OutgoingRecord record;
  record.id = std::string(id);
  record.state = row.state;
  return record;
}

std::string Ids(const Ledger& ledger, const MigrationPlace& from = {},
                size_t limit = 100) {
  std::string ids;
  for (const auto& [place, record] : ledger.List(from, limit, Describe)) {
    absl::StrAppend(&ids, record.id, " ");
  }
  return ids;
}

TEST(ServerMigrationLedgerTest, AnIdBeginsOnlyOnce) {
  Ledger ledger;
  ASSERT_NE(ledger.Begin("a", SourceState::kCopying), nullptr);
  EXPECT_EQ(ledger.Begin("a", SourceState::kCopying), nullptr);
  EXPECT_NE(ledger.Find("a"), nullptr);
  EXPECT_EQ(ledger.Find("b"), nullptr);
}

TEST(ServerMigrationLedgerTest, StatesChangeAsTheTableSays) {
  Ledger ledger;
  Ledger::Row& row = *ledger.Begin("a", SourceState::kCopying);
  EXPECT_EQ(Ledger::Move(row, SourceEvent::kKeep), std::nullopt);
  EXPECT_EQ(row.state, SourceState::kCopying);
  EXPECT_EQ(Ledger::Move(row, SourceEvent::kFailed), SourceState::kKept);
  EXPECT_EQ(row.state, SourceState::kKept);
  EXPECT_EQ(ledger.CountIn(SourceState::kKept), 1u);
}

TEST(ServerMigrationLedgerTest, FirstToEndIsForgottenFirst) {
  Ledger ledger;
  for (const char* id : {"a", "b", "c", "d"}) {
    ledger.Begin(id, SourceState::kCopying);
  }
  for (const char* id : {"c", "a", "b"}) ledger.End(*ledger.Find(id));
  ledger.Find("a")->entry.kind = 1;
  const auto is_plain = [](const Ledger::Row& row) {
    return row.entry.kind == 0;
  };
  EXPECT_EQ(ledger.Forget(2, is_plain), 0u);
  EXPECT_EQ(ledger.Forget(1, is_plain), 1u);
  EXPECT_EQ(Ids(ledger), "a b d ");
  EXPECT_EQ(ledger.Forget(0, is_plain), 1u);
  EXPECT_EQ(Ids(ledger), "a d ");
}

TEST(ServerMigrationLedgerTest, MigrationsThatNeedADecisionAreListedFirst) {
  Ledger ledger;
  ledger.Begin("ended", SourceState::kKept);
  ledger.Begin("open", SourceState::kUnknown);
  ledger.Begin("first", SourceState::kCopying);
  ledger.Begin("again", SourceState::kCommitting);
  EXPECT_EQ(Ids(ledger), "open first again ended ");
  const auto page = ledger.List({}, 2, Describe);
  ASSERT_EQ(page.size(), 2u);
  MigrationPlace next = page[1].first;
  ++next.number;
  EXPECT_EQ(Ids(ledger, next), "again ended ");
}

}  // namespace
}  // namespace simvisor::server
