#include "tests/domain/smmu/mmu_pair.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "domain/units/findings.h"
#include "domain/units/operation.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/smmu/mmu_text.h"

namespace simvisor {
namespace {

constexpr uint64_t kEpoch = 3;

std::string NameOf(const absl::Status& status) {
  return status.ok() ? "" : ReasonOf(status).value_or("?");
}

std::set<uint64_t> PfnsOf(const PfnSet& set) {
  std::set<uint64_t> pfns;
  for (const auto& [first, end] : set.extents()) {
    for (Pfn pfn = first; pfn < end; pfn += PageCount(1)) {
      pfns.insert(pfn.value());
    }
  }
  return pfns;
}

}  // namespace

MmuPair::MmuPair(FakeWords& words)
    : words_(words),
      library_(identity_, words_),
      model_([this](uint64_t pfn) { return words_.Lookup(Pfn(pfn)); }) {}

void MmuPair::Register(const MmuSpec& spec) {
  const Context context(identity_, "register");
  ASSERT_EQ(NameOf(CheckMmuSpec(context, spec)), "");
  auto place = quota_.Take(context);
  ASSERT_TRUE(place.ok()) << place.status();
  const auto id =
      library_.Insert(context, spec, *std::move(place), {}, kEpoch, now_);
  ASSERT_TRUE(id.ok()) << id.status();
  const uint64_t number = static_cast<uint64_t>(*id);
  EXPECT_EQ(model_.Insert(number, spec, kEpoch, now_), "");
  clients_.push_back({.id = number,
                      .spec = spec,
                      .token = {},
                      .events = {},
                      .young = {},
                      .resolved = {},
                      .parked = {}});
}

void MmuPair::Unregister(Client& client) {
  library_.Unregister(SubscriptionId(client.id));
  model_.Unregister(client.id);
}

void MmuPair::Retire(Client& client) {
  library_.Retire(SubscriptionId(client.id));
  model_.Unregister(client.id);
}

void MmuPair::Detach(Client& client) {
  library_.Detach(SubscriptionId(client.id), now_);
  model_.Detach(client.id);
}

void MmuPair::Reattach(Client& client, uint64_t last_ev, bool right_token) {
  const Context context(identity_, "resume");
  const absl::Status status = library_.Reattach(
      context, SubscriptionId(client.id),
      right_token ? client.token : client.token + "x", last_ev, nullptr, now_);
  if (!right_token) {
    EXPECT_EQ(NameOf(status), "SECONDARY_MMU_NOT_FOUND");
    return;
  }
  EXPECT_EQ(NameOf(status), model_.Reattach(client.id, last_ev));
  if (!status.ok()) return;
  client.last_ev = last_ev;
  client.confirmed = last_ev;
  client.resolved.clear();
  client.parked.clear();
}

void MmuPair::Fence(Client& client) {
  EXPECT_EQ(library_.Fence(SubscriptionId(client.id), FenceCause::kOperator),
            model_.Fence(client.id, FenceCause::kOperator));
}

void MmuPair::Expire(absl::Duration later) {
  now_ += later;
  EXPECT_EQ(library_.Expire(now_), model_.Expire(now_));
}

void MmuPair::Forget(Client& client) {
  library_.Forget(SubscriptionId(client.id));
  bool over = false;
  EXPECT_THAT(library_.TakeMessages(SubscriptionId(client.id), 1, &over),
              testing::IsEmpty());
  EXPECT_TRUE(over);
  const uint64_t id = client.id;
  std::erase_if(clients_, [&](const Client& other) { return other.id == id; });
}

// --- Messages of clients -----------------------------------------------------

void MmuPair::Fault(Client& client, const FaultRequest& request) {
  EXPECT_EQ(NameOf(library_.Fault(SubscriptionId(client.id), request)),
            model_.Fault(client.id, request));
  client.parked.insert(request.req);
}

void MmuPair::Commit(Client& client, uint64_t req) {
  EXPECT_EQ(NameOf(library_.Commit(SubscriptionId(client.id), req)),
            model_.Commit(client.id, req));
}

void MmuPair::NoteAnswer(Client& client, uint64_t ev) {
  client.confirmed = std::max(client.confirmed, std::min(ev, client.last_ev));
}

void MmuPair::Ack(Client& client, uint64_t ev) {
  const auto counted = library_.Ack(SubscriptionId(client.id), ev, now_);
  bool expected = false;
  EXPECT_EQ(NameOf(counted.status()),
            model_.Ack(client.id, ev, now_, &expected));
  if (!counted.ok()) return;
  EXPECT_EQ(*counted, expected);
  NoteAnswer(client, ev);
}

void MmuPair::Nack(Client& client, uint64_t ev) {
  EXPECT_EQ(NameOf(library_.Nack(SubscriptionId(client.id), ev, now_)),
            model_.Nack(client.id, ev, now_));
  NoteAnswer(client, ev);
}

void MmuPair::AnswerYoung(Client& client, uint64_t ev,
                          const std::vector<PfnExtent>& young) {
  EXPECT_EQ(NameOf(library_.accessed().AnswerYoung(SubscriptionId(client.id),
                                                   ev, young)),
            model_.AnswerYoung(client.id, ev, young));
  NoteAnswer(client, ev);
}

void MmuPair::Drop(Client& client, const std::vector<PfnExtent>& pfns) {
  EXPECT_EQ(NameOf(library_.DropMappings(SubscriptionId(client.id), pfns)),
            model_.DropMappings(client.id, pfns));
}

void MmuPair::Renew(Client& client, uint64_t nonce) {
  EXPECT_EQ(NameOf(library_.Renew(SubscriptionId(client.id), nonce, now_)),
            model_.Renew(client.id, nonce, now_));
}

void MmuPair::Watch(Client& client, uint64_t req, PfnExtent pfns) {
  EXPECT_EQ(NameOf(library_.Watch(SubscriptionId(client.id), req, pfns)),
            model_.Watch(client.id, req, pfns));
}

void MmuPair::Unwatch(Client& client, uint64_t req, PfnExtent pfns) {
  EXPECT_EQ(NameOf(library_.Unwatch(SubscriptionId(client.id), req, pfns)),
            model_.Unwatch(client.id, req, pfns));
}

void MmuPair::Access(Client& client, uint64_t pfn, bool write, uint64_t req) {
  const auto mfn =
      library_.CheckAccess(SubscriptionId(client.id), Pfn(pfn), write);
  uint64_t expected = 0;
  EXPECT_EQ(NameOf(mfn.status()),
            model_.CheckAccess(client.id, pfn, write, &expected));
  if (mfn.ok()) {
    EXPECT_EQ(mfn->value(), expected);
  }
  if (StateOf(client) != SubscriptionState::kLive) return;
  const mmu::Accessed answer = {
      .req = req, .data = absl::StrCat(expected), .status = mfn.status()};
  library_.Answer(SubscriptionId(client.id), answer);
  model_.AnswerAccess(client.id, answer);
}

// --- Changes -----------------------------------------------------------------

void MmuPair::Begin(std::vector<PfnExtent> pfns, InvalidateReason reason,
                    bool blockable) {
  Change& change = changes_.emplace_back();
  change.pfns = pfns;
  change.reason = reason;
  change.gate = std::make_unique<ChangeGate>();
  const RangeId range =
      library_.BeginRange(pfns, reason, blockable, change.gate.get(), now_);
  change.range = static_cast<uint64_t>(range);
  EXPECT_EQ(change.range, model_.BeginRange(pfns, reason, blockable));
  library_.CallBack(range);
}

void MmuPair::BeginPage(uint64_t pfn, InvalidateReason reason) {
  Change& change = changes_.emplace_back();
  change.pfns = {{Pfn(pfn), PageCount(1)}};
  change.reason = reason;
  change.gate = std::make_unique<ChangeGate>();
  const RangeId range =
      library_.BeginPage(Pfn(pfn), reason, change.gate.get(), now_);
  change.range = static_cast<uint64_t>(range);
  EXPECT_EQ(change.range, model_.BeginPage(pfn, reason));
  library_.CallBack(range);
}

SecondaryMmus::Answers MmuPair::AnswersTo(const Change& change) const {
  return library_.AnswersTo(RangeId(change.range));
}

void MmuPair::Close(Change& change, bool aborted) {
  if (aborted) {
    library_.AbortRange(RangeId(change.range));
    model_.AbortRange(change.range);
  } else {
    library_.EndRange(RangeId(change.range));
    model_.EndRange(change.range);
  }
  change.finished = true;
}

void MmuPair::Release(ReleaseReason reason) {
  library_.Release(reason, "elsewhere", &released_, now_);
  library_.CallBackRelease();
  model_.Release(reason, "elsewhere");
  dying_ = true;
}

void MmuPair::Ask(PfnExtent pfns, bool clear) {
  Question& question = questions_.emplace_back();
  question.gate = std::make_unique<ChangeGate>();
  question.library =
      library_.accessed().AskYoung(pfns, clear, question.gate.get());
  library_.accessed().CallBackYoung(question.library);
  question.model = model_.AskYoung(pfns, clear);
}

void MmuPair::EndQuestion(size_t number) {
  Question& question = questions_[number];
  const SecondaryMmus::YoungAnswer answer =
      library_.accessed().EndYoung(question.library);
  const MmuModel::YoungAnswer expected = model_.EndYoung(question.model);
  EXPECT_EQ(PfnsOf(answer.young), expected.young);
  EXPECT_EQ(answer.asked, expected.asked);
  EXPECT_EQ(answer.silent, expected.silent);
  questions_.erase(questions_.begin() + number);
}

void MmuPair::SetLogging(bool on) {
  library_.SetLogging(on);
  model_.SetLogging(on);
}

void MmuPair::TakeGranted() {
  EXPECT_EQ(PfnsOf(library_.TakeGranted()), model_.TakeGranted());
}

void MmuPair::CompareWritable(PfnExtent within) {
  PfnSet some;
  some.Add(within);
  for (const PfnSet* const set : {static_cast<const PfnSet*>(nullptr),
                                  static_cast<const PfnSet*>(&some)}) {
    PfnSet writable;
    for (const PfnExtent pfns : library_.WritableIn(set)) writable.Add(pfns);
    std::set<uint64_t> expected = model_.WritablePfns();
    std::erase_if(expected, [&](uint64_t pfn) {
      return set != nullptr && !set->Contains(Pfn(pfn));
    });
    EXPECT_EQ(PfnsOf(writable), expected);
  }
}

// --- What can be seen --------------------------------------------------------

SubscriptionState MmuPair::StateOf(const Client& client) const {
  return model_.Look(client.id, now_).state;
}

void MmuPair::Compare() {
  std::erase_if(changes_, [](const Change& change) { return change.finished; });
  for (Client& client : clients_) CompareClient(client);
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

void MmuPair::CompareClient(Client& client) {
  if (client.over) return;
  if (StateOf(client) != SubscriptionState::kDetached) {
    const std::vector<mmu::Message> expected = model_.TakeMessages(client.id);
    const std::vector<mmu::Message> messages =
        library_.TakeMessages(SubscriptionId(client.id), 1000000, &client.over);
    EXPECT_EQ(MessageTexts(messages), MessageTexts(expected)) << client.id;
    for (const mmu::Message& message : messages) Note(client, message);
  }
  EXPECT_EQ(client.over, StateOf(client) == SubscriptionState::kFenced ||
                             StateOf(client) == SubscriptionState::kGone);
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
