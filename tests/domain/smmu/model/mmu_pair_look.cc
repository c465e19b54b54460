// What of the library and the model is compared after each step.

#include <string>
#include <utility>
#include <variant>

#include "domain/units/findings.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/smmu/mmu_text.h"
#include "tests/domain/smmu/model/mmu_pair.h"

namespace simvisor {

SubscriptionState MmuPair::StateOf(const Client& client) const {
  return model_.Look(client.id, now_).state;
}

void MmuPair::Compare(size_t most) {
  std::erase_if(changes_, [](const Change& change) { return change.finished; });
  for (Client& client : clients_) CompareClient(client, most);
  std::map<uint64_t, MmuInfo> infos;
  for (MmuInfo& info : library_.List(now_)) {
    infos[static_cast<uint64_t>(info.id)] = std::move(info);
  }
  for (const Client& client : clients_) {
    const auto found = infos.find(client.id);
    const SubscriptionState state = StateOf(client);
    if (found != infos.end()) {
      CompareList(client, found->second);
    } else {
      EXPECT_TRUE(state == SubscriptionState::kFenced ||
                  state == SubscriptionState::kGone)
          << client.id;
    }
  }
  CompareChanges();
  CompareTotals();
  Check();
}

void MmuPair::CompareChanges() const {
  for (const Change& change : changes_) {
    const MmuModel::Answers answers = model_.AnswersTo(change.range);
    EXPECT_EQ(static_cast<int>(AnswersTo(change)), static_cast<int>(answers))
        << change.range;
    EXPECT_EQ(library_.PendingOf(RangeId(change.range)),
              model_.PendingOf(change.range))
        << change.range;
    EXPECT_EQ(change.gate->is_open(), answers != MmuModel::Answers::kPending)
        << change.range;
  }
  for (const Question& question : questions_) {
    EXPECT_EQ(question.gate->is_open(), model_.YoungAnswered(question.model));
  }
  if (dying_) {
    EXPECT_EQ(released_.is_open(), model_.Released());
  }
}

void MmuPair::CompareTotals() const {
  const MmuTotals totals = library_.Totals();
  const MmuModel::Figures figures = model_.Count();
  EXPECT_EQ(totals.subscriptions, figures.subscriptions);
  EXPECT_EQ(totals.mapped.value(), figures.mapped);
  EXPECT_EQ(totals.open_ranges, figures.open_ranges);
  EXPECT_EQ(totals.seq, figures.seq);
  // After the release no fault is judged by it.
  if (!dying_) {
    EXPECT_EQ(totals.interval_seq, figures.interval_seq);
  }
  EXPECT_EQ(totals.fences, figures.fences);
  EXPECT_EQ(library_.any(), figures.subscriptions > 0);
}

void MmuPair::Check() const {
  std::vector<std::string> found;
  Findings findings(DomainId(1), found);
  library_.Check(findings, [&](const MappingRun& run) {
    for (uint64_t i = 0; i < run.count.value(); ++i) {
      const P2mWord word = words_.Lookup(run.pfn + PageCount(i));
      EXPECT_EQ(word.Number(), run.mfn.value() + i) << run.pfn.value() + i;
    }
  });
  EXPECT_THAT(found, testing::IsEmpty());
}

void MmuPair::CompareClient(Client& client, size_t most) {
  if (client.object != nullptr) {
    EXPECT_EQ(std::exchange(client.object->calls, {}),
              model_.TakeCalls(client.id))
        << client.id;
  }
  if (client.over) return;
  if (StateOf(client) == SubscriptionState::kDetached) return;
  const std::vector<mmu::Message> expected =
      model_.TakeMessages(client.id, most);
  const std::vector<mmu::Message> messages =
      library_.TakeMessages(SubscriptionId(client.id), most, &client.over);
  EXPECT_EQ(MessageTexts(messages), MessageTexts(expected)) << client.id;
  for (const mmu::Message& message : messages) Note(client, message);
  const bool ended = StateOf(client) == SubscriptionState::kFenced ||
                     StateOf(client) == SubscriptionState::kGone;
  EXPECT_EQ(client.over, ended && !model_.HasMessages(client.id));
}

void MmuPair::Note(Client& client, const mmu::Message& message) {
  if (std::holds_alternative<mmu::Resumed>(message.body)) return;
  client.last_ev = message.ev;
  if (const auto* m = std::get_if<mmu::Registered>(&message.body)) {
    client.token = m->token;
  } else if (std::holds_alternative<mmu::RangeBegin>(message.body) ||
             std::holds_alternative<mmu::PageInvalidate>(message.body) ||
             std::holds_alternative<mmu::Release>(message.body)) {
    client.events.insert(message.ev);
  } else if (std::holds_alternative<mmu::Young>(message.body)) {
    client.young.insert(message.ev);
  } else if (const auto* resolved = std::get_if<mmu::Resolved>(&message.body)) {
    client.resolved.insert(resolved->req);
  } else if (const auto* installed =
                 std::get_if<mmu::Installed>(&message.body)) {
    client.parked.erase(installed->req);
    client.resolved.erase(installed->req);
  } else if (const auto* retry = std::get_if<mmu::Retry>(&message.body)) {
    client.parked.erase(retry->req);
    client.resolved.erase(retry->req);
  }
}

void MmuPair::CompareList(const Client& client, const MmuInfo& info) {
  const MmuModel::Seen seen = model_.Look(client.id, now_);
  EXPECT_EQ(static_cast<int>(info.state), static_cast<int>(seen.state))
      << client.id;
  if (info.state != SubscriptionState::kLive &&
      info.state != SubscriptionState::kDetached) {
    return;
  }
  EXPECT_EQ(info.lease_left, seen.lease_left) << client.id;
  EXPECT_EQ(info.unanswered_events, seen.unanswered) << client.id;
  EXPECT_EQ(LibraryMappings(client.id), seen.mappings) << client.id;
  uint64_t writable = 0;
  for (const auto& [pfn, mapping] : seen.mappings) writable += mapping.writable;
  EXPECT_EQ(info.mapped.value(), seen.mappings.size());
  EXPECT_EQ(info.writable.value(), writable);
}

MmuModel::Mappings MmuPair::LibraryMappings(uint64_t id) const {
  MmuModel::Mappings mappings;
  std::vector<MappingRun> runs;
  for (Pfn from = Pfn(0); !from.is_none();) {
    const auto next = library_.ListMappings(SubscriptionId(id), from, 3, runs);
    if (!next.ok()) {
      ADD_FAILURE() << next.status();
      break;
    }
    from = *next;
  }
  for (const MappingRun& run : runs) {
    for (uint64_t i = 0; i < run.count.value(); ++i) {
      EXPECT_TRUE(mappings
                      .emplace(run.pfn.value() + i,
                               MmuModel::Mapping{.mfn = run.mfn.value() + i,
                                                 .writable = run.writable})
                      .second);
    }
  }
  return mappings;
}

}  // namespace simvisor
