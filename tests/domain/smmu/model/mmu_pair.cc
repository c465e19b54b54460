#include "tests/domain/smmu/model/mmu_pair.h"

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

// What objects say is young.
std::vector<PfnExtent> OddPfns(PfnExtent pfns) {
  std::vector<PfnExtent> odd;
  for (uint64_t pfn = 1; pfn < 100; pfn += 2) {
    if (pfns.Contains(Pfn(pfn))) odd.push_back({Pfn(pfn), PageCount(1)});
  }
  return odd;
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

// --- Objects -----------------------------------------------------------------

void FakeMmu::Begin(const mmu::RangeBegin& range) {
  calls.push_back(absl::StrCat("begin ", static_cast<uint64_t>(range.range),
                               " ", ExtentsText(range.pfns)));
  inside();
}

void FakeMmu::Page(const mmu::PageInvalidate& page) {
  calls.push_back(absl::StrCat("page ", static_cast<uint64_t>(page.range), " ",
                               ExtentsText({{page.pfn, PageCount(1)}})));
  inside();
}

void FakeMmu::End(RangeId range, uint64_t seq, bool aborted) {
  calls.push_back(absl::StrCat(aborted ? "abort " : "end ",
                               static_cast<uint64_t>(range), " ", seq));
}

PfnSet FakeMmu::Young(PfnExtent pfns, bool) {
  calls.push_back("young");
  PfnSet young;
  for (const PfnExtent odd : OddPfns(pfns)) young.Add(odd);
  return young;
}

void FakeMmu::Release(const mmu::Release&) { calls.push_back("release"); }

// -----------------------------------------------------------------------------

MmuPair::MmuPair(FakeWords& words)
    : words_(words),
      library_(identity_, words_),
      model_([this](uint64_t pfn) { return words_.Lookup(Pfn(pfn)); }) {}

void MmuPair::Register(const MmuSpec& spec, bool in_process) {
  const Context context(identity_, "register");
  ASSERT_EQ(NameOf(CheckMmuSpec(context, spec)), "");
  auto place = quota_.Take(context);
  ASSERT_TRUE(place.ok()) << place.status();
  Client client;
  client.spec = spec;
  if (in_process) client.object = std::make_unique<FakeMmu>();
  const auto id = library_.Insert(context, spec, *std::move(place),
                                  {nullptr, client.object.get()}, kEpoch, now_);
  ASSERT_TRUE(id.ok()) << id.status();
  client.id = static_cast<uint64_t>(*id);
  EXPECT_EQ(model_.Insert(client.id, spec, in_process, kEpoch, now_), "");
  clients_.push_back(std::move(client));
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
  model_.Answer(client.id, answer);
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
  CallBack(change.range);
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
  CallBack(change.range);
}

SecondaryMmus::Answers MmuPair::AnswersTo(const Change& change) const {
  return library_.AnswersTo(RangeId(change.range));
}

void MmuPair::Close(Change& change, bool aborted) {
  if (aborted) {
    library_.AbortRange(RangeId(change.range));
  } else {
    library_.EndRange(RangeId(change.range));
  }
  model_.Close(change.range, aborted);
  change.finished = true;
  CallBack(change.range);
}

void MmuPair::CallBack(uint64_t range) {
  std::map<uint64_t, Client*> by_id;
  for (Client& client : clients_) {
    by_id[client.id] = &client;
    if (client.object == nullptr) continue;
    client.object->inside = [this, &client] {
      const SubscriptionId id{client.id};
      if (client.fault_inside.has_value()) {
        EXPECT_EQ(NameOf(library_.Fault(id, *client.fault_inside)), "");
      }
      if (client.retire_inside) library_.Retire(id);
    };
  }
  library_.CallBack(RangeId(range));
  model_.CallBack(range, [&](uint64_t id) {
    Client& client = *by_id.at(id);
    if (client.fault_inside.has_value()) model_.Fault(id, *client.fault_inside);
    if (client.retire_inside) model_.Unregister(id);
    client.fault_inside.reset();
    client.retire_inside = false;
  });
}

void MmuPair::Release(ReleaseReason reason) {
  library_.Release(reason, "elsewhere", &released_, now_);
  model_.Release(reason, "elsewhere");
  library_.CallBackRelease();
  dying_ = true;
}

void MmuPair::Ask(PfnExtent pfns, bool clear) {
  Question& question = questions_.emplace_back();
  question.gate = std::make_unique<ChangeGate>();
  question.library =
      library_.accessed().AskYoung(pfns, clear, question.gate.get());
  library_.accessed().CallBackYoung(question.library);
  question.model = model_.AskYoung(pfns, clear, OddPfns(pfns));
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

}  // namespace simvisor
