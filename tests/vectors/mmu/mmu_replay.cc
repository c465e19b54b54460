#include "tests/vectors/mmu/mmu_replay.h"

#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/vectors/mmu/mmu_words.h"

namespace simvisor {
namespace {

std::map<uint64_t, uint64_t> ForeignOf(const Json& step, uint64_t mfn_base) {
  std::map<uint64_t, uint64_t> foreign;
  if (!step.contains("foreign")) return foreign;
  for (const Json& slot : step["foreign"]) {
    if (slot.is_array()) {
      foreign[slot[0]] = slot[1];
    } else {
      foreign[slot] = mfn_base + slot.get<uint64_t>();
    }
  }
  return foreign;
}

}  // namespace

MmuReplay::MmuReplay() {
  waiter_.OnPoint([this](Job& job, ChangePoint point) {
    if (point == ChangePoint::kBegin) {
      // The range that was opened last.
      const MmuTotals totals = mmus()->Totals();
      changes_[job.id].range = totals.seq + totals.open_ranges;
    }
    return absl::OkStatus();
  });
}

MmuReplay::~MmuReplay() {
  bool waiting = true;
  while (waiting) {
    if (guest_.has_value() && mmus() != nullptr) {
      for (const auto& client : clients_) {
        mmus()->Fence(client->id(), FenceCause::kOperator);
      }
    }
    waiting = false;
    for (Job& job : waiter_.jobs()) {
      if (job.ended()) continue;
      waiting = true;
      job.open_range.Open();
      waiter_.Stop(job, absl::CancelledError("the case is over"));
    }
    waiter_.Settle();
  }
}

void MmuReplay::AddTo(Operations& operations) {
  operations.Add("boot", "nr_pages mfn_base? missing? foreign? spare?", this,
                 &MmuReplay::Boot);
  operations.Add("limit_memory", "left", this, &MmuReplay::LimitMemory);
  operations.Add("subscriptions", "", this, &MmuReplay::Subscriptions);
  operations.Add("mapped", "sub", this, &MmuReplay::Mapped);
  operations.Add("inbox", "sub", this, &MmuReplay::Inbox);
  operations.Add("counters", "", this, &MmuReplay::Counters);
  operations.Add("lookup", "pfn", this, &MmuReplay::Lookup);
  AddChanges(operations);
  AddClients(operations);
}

void MmuReplay::Check() {
  if (!guest_.has_value()) return;
  EXPECT_THAT(guest_->host().Audit().findings, testing::IsEmpty());
}

bool MmuReplay::Matches(const Json& expected, const Json& got) {
  if (!expected.is_object() || !got.is_object()) return expected == got;
  for (const auto& item : expected.items()) {
    const std::string optional = "?" + item.key();
    const std::string& key = got.contains(optional) ? optional : item.key();
    if (!got.contains(key) || got[key] != item.value()) return false;
  }
  for (const auto& item : got.items()) {
    if (item.key()[0] != '?' && !expected.contains(item.key())) return false;
  }
  return true;
}

// --- Looks -------------------------------------------------------------------

Json MmuReplay::Boot(const Json& step) {
  if (guest_.has_value()) return CannotReplay("there is a guest already");
  MmuGuest::Layout layout;
  layout.pages = step["nr_pages"];
  layout.mfn_base = step.value("mfn_base", uint64_t{4096});
  layout.spare = step.value("spare", uint64_t{4});
  layout.missing = step.value("missing", std::vector<uint64_t>());
  layout.foreign = ForeignOf(step, layout.mfn_base);
  guest_.emplace(layout, waiter_, memory_);
  return {{"ram", guest_->Ram()}, {"spare", guest_->Free()}};
}

Json MmuReplay::LimitMemory(const Json& step) {
  memory_.left = step["left"].get<uint64_t>();
  return nullptr;
}

std::string MmuReplay::StateOf(const MmuClient& client) {
  if (mmus() != nullptr) {
    for (const MmuInfo& info : mmus()->List(waiter_.Now())) {
      if (info.id == client.id()) return WordFor(info.state);
    }
  }
  return "gone";
}

Json MmuReplay::Subscriptions(const Json&) {
  Json list = Json::array();
  for (const auto& client : clients_) {
    if (!client->registered()) continue;
    list.push_back(Json::array({client->name(), StateOf(*client)}));
  }
  return list;
}

Json MmuReplay::Mapped(const Json& step) {
  Json list = Json::array();
  std::vector<MappingRun> runs;
  if (mmus() != nullptr) {
    mmus()->ListMappings(Client(step).id(), Pfn(0), 100000, runs).IgnoreError();
  }
  for (const MappingRun& run : runs) {
    for (PageCount i; i < run.count; i += PageCount(1)) {
      list.push_back(Json::array({guest_->FromPfn(run.pfn + i),
                                  guest_->FromMfn(run.mfn + i),
                                  run.writable ? "rw" : "ro"}));
    }
  }
  return list;
}

Json MmuReplay::Inbox(const Json& step) { return Client(step).Look(); }

Json MmuReplay::Counters(const Json&) {
  const MmuTotals totals = guest_->domain().mmus().Totals();
  const bool known = mmus() != nullptr;
  return {{"active", totals.open_ranges},
          {"seq", totals.seq},
          {"iseq", known ? totals.interval_seq : 2},
          {"epoch", known ? totals.epoch : 1},
          {"free", guest_->Free()}};
}

Json MmuReplay::Lookup(const Json& step) {
  std::vector<P2mWord> words;
  const absl::Status status = guest_->domain().p2m().Translate(
      {guest_->PfnOf(step["pfn"]).value()}, words);
  if (!status.ok()) return WordFor(status);
  return guest_->TextOf(words.front());
}

// --- How changes stand -------------------------------------------------------

Json MmuReplay::Start(const std::string& id, const Json&, Run run) {
  if (!guest_.has_value()) return CannotReplay("there is no guest yet");
  if (const Job* job = waiter_.Find(id); job != nullptr && !job->ended()) {
    return CannotReplay("change " + id + " is under way");
  }
  changes_[id] = {};
  waiter_.Start(id, [this, run = std::move(run)](Job& job) {
    const auto stop = [&job] { return job.stop; };
    const Operation operation = {.name = "change", .stop = stop};
    Json result = Json::object();
    const absl::Status status = run(operation, result);
    if (status.ok()) {
      result["state"] = "done";
    } else {
      result["state"] = "failed";
      result["error"] = WordFor(status);
    }
    changes_[job.id].result = std::move(result);
  });
  Settle();
  return StateOf(id);
}

Json MmuReplay::StateOf(const std::string& id) {
  const Job* const job = waiter_.Find(id);
  if (job == nullptr) return CannotReplay("there is no change " + id);
  switch (job->phase) {
    case BatonWaiter::Phase::kEnded:
      return changes_[id].result;
    case BatonWaiter::Phase::kOpen:
      return {{"state", "open"}};
    case BatonWaiter::Phase::kTurn:
      return {{"state", "blocked"}};
    case BatonWaiter::Phase::kAnswers:
    case BatonWaiter::Phase::kReleased:
      break;
  }
  return {{"state", "waiting"}, {"pending", Pending(*job)}};
}

std::vector<std::string> MmuReplay::Pending(const Job& job) {
  const Change& change = changes_[job.id];
  std::vector<std::string> names;
  if (job.phase == BatonWaiter::Phase::kReleased) {
    for (const auto& client : clients_) {
      const std::string state = StateOf(*client);
      if (state != "live" && state != "detached") continue;
      names.push_back(client->name());
    }
    return names;
  }
  if (change.asked.empty()) return mmus()->PendingOf(RangeId{change.range});
  for (const auto& client : clients_) {
    if (change.asked.count(client->name()) == 0) continue;
    if (StateOf(*client) == "live") names.push_back(client->name());
  }
  return names;
}

Json MmuReplay::WithCounters(Json result) {
  const MmuTotals totals = guest_->domain().mmus().Totals();
  result["active"] = totals.open_ranges;
  result["seq"] = totals.seq;
  return result;
}

void MmuReplay::Settle() {
  waiter_.Settle();
  TakeAll();
}

void MmuReplay::TakeAll() {
  if (!guest_.has_value() || mmus() == nullptr) return;
  for (const auto& client : clients_) client->Take(*mmus(), *guest_);
}

Json MmuReplay::GraceOver(const Json& step) {
  Job* const job = waiter_.Find(step["id"]);
  if (job == nullptr) return CannotReplay("there is no such change");
  if (!job->ended()) waiter_.EndTime(*job);
  Settle();
  return StateOf(job->id);
}

Json MmuReplay::Cancel(const Json& step) {
  Job* const job = waiter_.Find(step["id"]);
  if (job == nullptr) return CannotReplay("there is no such change");
  if (!job->ended()) {
    waiter_.Stop(*job, absl::CancelledError("the caller gave up"));
    // An open range is the caller's own.
    if (job->phase == BatonWaiter::Phase::kOpen) job->open_range.Open();
  }
  Settle();
  return StateOf(job->id);
}

Json MmuReplay::Outcome(const Json& step) {
  return StateOf(step["id"].get<std::string>());
}

MmuClient& MmuReplay::Client(const Json& step) {
  const std::string name = step["sub"];
  for (auto client = clients_.rbegin(); client != clients_.rend(); ++client) {
    if ((*client)->name() == name && (*client)->registered()) return **client;
  }
  clients_.push_back(std::make_unique<MmuClient>(name));
  return *clients_.back();
}

}  // namespace simvisor
