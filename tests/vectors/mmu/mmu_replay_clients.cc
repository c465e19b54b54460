// What clients do.

#include <utility>
#include <variant>

#include "base/error.h"
#include "gtest/gtest.h"
#include "tests/vectors/mmu/mmu_replay.h"
#include "tests/vectors/mmu/mmu_words.h"

namespace simvisor {
namespace {

// A result that is one word, or a record with it if the step expects that.
Json Word(const Json& step, const char* key, const std::string& word) {
  const bool record = step.contains("expect") && step["expect"].is_object();
  return record ? Json{{key, word}} : Json(word);
}

Json ErrorOr(const absl::Status& status, const std::string& word) {
  return status.ok() ? word : WordFor(status);
}

}  // namespace

void MmuReplay::AddClients(Operations& operations) {
  operations.Add("ack", "sub range", this, &MmuReplay::Ack);
  operations.Add("nack", "sub range", this, &MmuReplay::Nack);
  operations.Add("fault", "sub req pfn write?", this, &MmuReplay::Fault);
  operations.Add("fault_now", "sub req pfn write? wait?", this,
                 &MmuReplay::FaultNow);
  operations.Add("commit", "sub req", this, &MmuReplay::Commit);
  operations.Add("drop", "sub pfns", this, &MmuReplay::Drop);
  operations.Add("access", "sub pfn write?", this, &MmuReplay::Access);
  operations.Add("watch", "sub lo hi", this, &MmuReplay::Watch);
  operations.Add("unwatch", "sub lo hi", this, &MmuReplay::Unwatch);
  operations.Add("young_reply", "sub id? pfns", this, &MmuReplay::YoungReply);
  operations.Add("young_timeout", "id?", this, &MmuReplay::YoungTimeout);
  operations.Add("unregister", "sub", this, &MmuReplay::Unregister);
  operations.Add("enter_callback", "sub", this, &MmuReplay::EnterCallback);
  operations.Add("leave_callback", "sub", this, &MmuReplay::LeaveCallback);
  operations.Add("tick", "ms", this, &MmuReplay::Tick);
  operations.Add("renew", "sub", this, &MmuReplay::Renew);
  operations.Add("cut", "sub", this, &MmuReplay::Cut);
  operations.Add("reattach", "sub last_ev", this, &MmuReplay::Reattach);
}

Json MmuReplay::Ack(const Json& step) {
  MmuClient& client = Client(step);
  const uint64_t ev = step["range"].is_string()
                          ? client.EvOfRelease()
                          : client.EvOfRange(step["range"]);
  const absl::StatusOr<bool> counts =
      mmus()->Ack(client.id(), ev, waiter_.Now());
  Settle();
  return ErrorOr(counts.status(), counts.ok() && *counts ? "ok" : "ignored");
}

Json MmuReplay::Nack(const Json& step) {
  MmuClient& client = Client(step);
  const bool fenced_before = client.fenced();
  const absl::Status status =
      mmus()->Nack(client.id(), client.EvOfRange(step["range"]), waiter_.Now());
  Settle();
  // What breaks the protocol names the rule; the case names what follows.
  if (!status.ok() && client.fenced() && !fenced_before) {
    return "ABORTED SECONDARY_MMU_FENCED";
  }
  return ErrorOr(status, "ok");
}

Json MmuReplay::AnswerOf(MmuClient& client, uint64_t req) {
  const mmu::Body* const body = client.AnswerTo(req);
  if (body == nullptr) return {{"parked", true}};
  if (const auto* m = std::get_if<mmu::Resolved>(body)) {
    return {{"mfn", guest_->FromMfn(m->mfn)}, {"seq", m->seq}};
  }
  if (const auto* m = std::get_if<mmu::Installed>(body)) {
    return {{"installed", guest_->FromMfn(m->mfn)}, {"writable", m->writable}};
  }
  if (const auto* m = std::get_if<mmu::NotMapped>(body)) {
    return {{"unmapped", WordFor(m->p2m_class)}};
  }
  if (const auto* m = std::get_if<mmu::Retry>(body)) {
    return {{"retry", WordFor(m->cause)}};
  }
  return {{"error", WordFor(std::get<mmu::FaultError>(*body).status)}};
}

Json MmuReplay::FaultFor(const Json& step, bool two_step) {
  MmuClient& client = Client(step);
  const uint64_t req = client.NewRequest(step["req"]);
  const absl::Status status =
      mmus()->Fault(client.id(), {.req = req,
                                  .pfn = guest_->PfnOf(step["pfn"]),
                                  .write = step.value("write", false),
                                  .two_step = two_step,
                                  .wait = step.value("wait", false)});
  Settle();
  if (!status.ok()) return {{"error", WordFor(status)}};
  return AnswerOf(client, req);
}

Json MmuReplay::Fault(const Json& step) { return FaultFor(step, true); }
Json MmuReplay::FaultNow(const Json& step) { return FaultFor(step, false); }

Json MmuReplay::Commit(const Json& step) {
  MmuClient& client = Client(step);
  const uint64_t req = client.RequestOf(step["req"]);
  const absl::Status status = mmus()->Commit(client.id(), req);
  Settle();
  if (!status.ok()) return {{"error", WordFor(status)}};
  return AnswerOf(client, req);
}

Json MmuReplay::Drop(const Json& step) {
  std::vector<PfnExtent> pfns;
  for (const Json& pfn : step["pfns"]) {
    pfns.push_back({guest_->PfnOf(pfn), PageCount(1)});
  }
  const absl::Status status = mmus()->DropMappings(Client(step).id(), pfns);
  Settle();
  return ErrorOr(status, "ok");
}

Json MmuReplay::Access(const Json& step) {
  MmuClient& client = Client(step);
  const Pfn pfn = guest_->PfnOf(step["pfn"]);
  DomainMmus device = guest_->domain().mmus();
  absl::Status status =
      step.value("write", false)
          ? device.Store({"store"}, client.id(), pfn, 0, "stored")
          : device.Load({"load"}, client.id(), pfn, 0, 8).status();
  // The library reaches only the domain's own pages; the mapping is there.
  if (ReasonOf(status) == "PFN_NOT_RAM") status = absl::OkStatus();
  if (status.ok()) client.object().Accessed(pfn);
  return ErrorOr(status, "ok");
}

Json MmuReplay::Watch(const Json& step) {
  MmuClient& client = Client(step);
  const uint64_t req = client.NewRequest("watch");
  const absl::Status status =
      mmus()->Watch(client.id(), req, guest_->PfnsOf(step["lo"], step["hi"]));
  Settle();
  if (!status.ok()) return Word(step, "error", WordFor(status));
  const auto* const watched = std::get_if<mmu::Watched>(client.last());
  if (watched == nullptr) return CannotReplay("no answer");
  const bool open = mmus()->Totals().open_ranges > 0;
  return Word(step, "state",
              watched->deferred ? "deferred"
              : open            ? "invalidating"
                                : "watched");
}

Json MmuReplay::Unwatch(const Json& step) {
  MmuClient& client = Client(step);
  const uint64_t req = client.NewRequest("unwatch");
  const absl::Status status =
      mmus()->Unwatch(client.id(), req, guest_->PfnsOf(step["lo"], step["hi"]));
  Settle();
  if (!status.ok()) return Word(step, "error", WordFor(status));
  const mmu::Body* const last = client.last();
  const auto* const done = std::get_if<mmu::Unwatched>(last);
  return Word(step, "state",
              done != nullptr && done->req == req ? "unwatched" : "deferred");
}

Json MmuReplay::YoungReply(const Json& step) {
  MmuClient& client = Client(step);
  const std::string id = step.value("id", "young");
  Change& change = changes_[id];
  const auto asked = change.asked.find(client.name());
  const uint64_t ev =
      asked == change.asked.end() ? client.LastYoung() : asked->second;
  std::vector<PfnExtent> young;
  for (const Json& pfn : step["pfns"]) {
    young.push_back({guest_->PfnOf(pfn), PageCount(1)});
  }
  const absl::Status status =
      mmus()->accessed().AnswerYoung(client.id(), ev, young);
  change.asked.erase(client.name());
  Settle();
  if (!status.ok()) return Word(step, "error", WordFor(status));
  const bool record = step.contains("expect") && step["expect"].is_object();
  return record ? StateOf(id) : Json("ok");
}

Json MmuReplay::YoungTimeout(const Json& step) {
  return GraceOver({{"id", step.value("id", "young")}});
}

Json MmuReplay::Unregister(const Json& step) {
  MmuClient& client = Client(step);
  if (mmus() == nullptr) return {{"state", "unregistered"}};
  client.leaves = client.callbacks > 0;
  if (client.leaves) {
    // From here on its callbacks are all that it has left.
    mmus()->Retire(client.id());
  } else {
    mmus()->Unregister(client.id());
  }
  Settle();
  return {{"state", client.leaves ? "waiting" : "unregistered"}};
}

Json MmuReplay::EnterCallback(const Json& step) {
  ++Client(step).callbacks;
  return nullptr;
}

Json MmuReplay::LeaveCallback(const Json& step) {
  MmuClient& client = Client(step);
  if (client.callbacks == 0) return CannotReplay("no callback runs");
  --client.callbacks;
  if (!client.leaves) return {{"?state", StateOf(client)}};
  if (client.callbacks > 0) return {{"state", "waiting"}};
  client.leaves = false;
  mmus()->Unregister(client.id());
  Settle();
  return {{"state", "unregistered"}};
}

Json MmuReplay::Tick(const Json& step) {
  waiter_.Pass(CaseMs(step["ms"]));
  std::vector<const MmuClient*> unfenced;
  for (const auto& client : clients_) {
    if (client->registered() && StateOf(*client) != "fenced") {
      unfenced.push_back(client.get());
    }
  }
  if (mmus() != nullptr) mmus()->Expire(waiter_.Now());
  Json fenced = Json::array();
  for (const MmuClient* const client : unfenced) {
    if (StateOf(*client) == "fenced") fenced.push_back(client->name());
  }
  Settle();
  return {{"now", (waiter_.Now() - absl::UnixEpoch()) / CaseMs(1)},
          {"fenced", std::move(fenced)}};
}

Json MmuReplay::Renew(const Json& step) {
  MmuClient& client = Client(step);
  const absl::Status status = mmus()->Renew(client.id(), 1, waiter_.Now());
  Settle();
  if (!status.ok()) return WordFor(status);
  const auto* const renewed = std::get_if<mmu::Renewed>(client.last());
  return renewed != nullptr && renewed->extended ? "renewed" : "kept";
}

Json MmuReplay::Cut(const Json& step) {
  MmuClient& client = Client(step);
  mmus()->Detach(client.id(), waiter_.Now());
  const std::string state = StateOf(client);
  if (state == "detached") client.Cut();
  Settle();
  return Word(step, "state", state);
}

Json MmuReplay::Reattach(const Json& step) {
  MmuClient& client = Client(step);
  const uint64_t last_ev = step["last_ev"];
  const Context context(guest_->domain().identity(), "reattach");
  const absl::Status status =
      mmus()->Reattach(context, client.id(), client.token(),
                       client.LibraryEv(last_ev), nullptr, waiter_.Now());
  if (status.ok()) client.Reattached();
  Settle();
  if (!status.ok()) return Word(step, "error", WordFor(status));
  return client.After(last_ev);
}

}  // namespace simvisor
