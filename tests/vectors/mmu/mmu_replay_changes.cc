// Changes of the domain.

#include <utility>

#include "gtest/gtest.h"
#include "tests/vectors/mmu/mmu_replay.h"
#include "tests/vectors/mmu/mmu_words.h"

namespace simvisor {
namespace {

std::string IdOf(const Json& step) {
  return step.value("id", step["op"].get<std::string>());
}

}  // namespace

void MmuReplay::AddChanges(Operations& operations) {
  operations.Add("register",
                 "sub rule? ranges? events? lease? window? auto? resumable? "
                 "expect_epoch?",
                 this, &MmuReplay::Register);
  operations.Add("begin", "id lo hi reason? blockable?", this,
                 &MmuReplay::Begin);
  operations.Add("end", "id", this, &MmuReplay::End);
  operations.Add("page", "pfn id?", this, &MmuReplay::Page);
  operations.Add("grace_over", "id", this, &MmuReplay::GraceOver);
  operations.Add("cancel", "id", this, &MmuReplay::Cancel);
  operations.Add("outcome", "id", this, &MmuReplay::Outcome);
  operations.Add("balloon_down", "id? pages wait?", this,
                 &MmuReplay::BalloonDown);
  operations.Add("set_p2m", "id? lo hi value? mfn? policy?", this,
                 &MmuReplay::SetP2m);
  operations.Add("foreign_unmap", "id? pfns", this, &MmuReplay::ForeignUnmap);
  operations.Add("suspend", "id? reason?", this, &MmuReplay::Suspend);
  operations.Add("resume", "id?", this, &MmuReplay::Resume);
  operations.Add("destroy", "id? reason?", this, &MmuReplay::Destroy);
  operations.Add("arrive", "mfn_base?", this, &MmuReplay::Arrive);
  operations.Add("log_dirty_start", "id?", this, &MmuReplay::LogDirtyStart);
  operations.Add("log_dirty_clean", "id?", this, &MmuReplay::LogDirtyClean);
  operations.Add("log_dirty_stop", "id?", this, &MmuReplay::LogDirtyStop);
  operations.Add("guest_write", "pfn", this, &MmuReplay::GuestWrite);
  operations.Add("young", "id? lo hi clear?", this, &MmuReplay::Young);
  operations.Add("young_state", "id?", this, &MmuReplay::Outcome);
}

Json MmuReplay::Register(const Json& step) {
  const std::string name = step["sub"];
  MmuSpec spec;
  spec.name = name;
  const std::string rule = step.value("rule", "global");
  const std::string events = step.value("events", "all");
  if (rule != "global" && rule != "interval") return CannotReplay(rule);
  if (events != "all" && events != "mapped") return CannotReplay(events);
  if (rule == "interval") spec.rule = RetryRule::kInterval;
  if (events == "mapped") spec.events = EventFilter::kMapped;
  if (step.contains("ranges") && step["ranges"].is_array()) {
    for (const Json& range : step["ranges"]) {
      spec.intervals.push_back(guest_->PfnsOf(range[0], range[1]));
    }
  }
  spec.lease = CaseMs(step.value("lease", uint64_t{100}));
  spec.fault_window = step.value("window", 4u);
  spec.resumable = step.value("resumable", false);
  spec.expect_epoch = step.value("expect_epoch", uint64_t{0});
  clients_.push_back(std::make_unique<MmuClient>(name));
  MmuClient& client = *clients_.back();
  SecondaryMmus::Holder holder;
  if (step.value("auto", false)) holder.object = &client.object();
  return Start("register:" + name, step,
               [this, spec, holder, &client](const Operation& operation,
                                             Json& result) -> absl::Status {
                 const auto id =
                     guest_->domain().mmus().Register(operation, spec, holder);
                 if (!id.ok()) return id.status();
                 client.Registered(*id);
                 result = WithCounters(std::move(result));
                 result["epoch"] = guest_->domain().mmus().Totals().epoch;
                 return absl::OkStatus();
               });
}

Json MmuReplay::Begin(const Json& step) {
  const std::string id = IdOf(step);
  const auto reason = ReasonNamed(step.value("reason", "unmap"));
  if (!reason.has_value()) return CannotReplay("unknown reason");
  const PfnExtent pfns = guest_->PfnsOf(step["lo"], step["hi"]);
  const bool blockable = step.value("blockable", true);
  return WithCounters(Start(
      id, step,
      [this, id, pfns, reason, blockable](const Operation& operation, Json&) {
        Operation asked = operation;
        asked.may_wait = blockable;
        return guest_->domain().mmus().Invalidate(
            asked, pfns, *reason, [&] { waiter_.HoldOpen(*waiter_.Find(id)); });
      }));
}

Json MmuReplay::End(const Json& step) {
  Job* const job = waiter_.Find(step["id"]);
  if (job == nullptr || job->phase != BatonWaiter::Phase::kOpen) {
    return CannotReplay("the range is not open");
  }
  job->open_range.Open();
  Settle();
  return WithCounters(Json::object());
}

Json MmuReplay::Page(const Json& step) {
  const Pfn pfn = guest_->PfnOf(step["pfn"]);
  return WithCounters(
      Start(IdOf(step), step, [this, pfn](const Operation& operation, Json&) {
        return guest_->domain().mmus().InvalidatePage(operation, pfn);
      }));
}

Json MmuReplay::BalloonDown(const Json& step) {
  const uint64_t pages = step["pages"];
  const bool wait = step.value("wait", true);
  return Start(
      IdOf(step), step, [=, this](const Operation& operation, Json& result) {
        Operation asked = operation;
        asked.may_wait = wait;
        const absl::StatusOr<PageCount> moved =
            guest_->domain().balloon().Down(asked, PageCount(pages), false);
        // Only a range that was undone says that nothing moved.
        result[moved.ok() ? "moved" : "?moved"] =
            moved.ok() ? moved->value() : 0;
        return moved.status();
      });
}

Json MmuReplay::SetP2m(const Json& step) {
  const std::string value = step.value("value", "missing");
  const std::string name = step.value("policy", "release");
  const std::map<std::string, RamPolicy> policies = {
      {"refuse", RamPolicy::kRefuse},
      {"release", RamPolicy::kRelease},
      {"keep", RamPolicy::kKeep}};
  const std::map<std::string, P2mClass> values = {
      {"missing", P2mClass::kMissing},
      {"identity", P2mClass::kIdentity},
      {"ram", P2mClass::kRam}};
  if (policies.count(name) == 0) return CannotReplay(name);
  if (values.count(value) == 0) return CannotReplay(value);
  const RamPolicy policy = policies.at(name);
  const P2mClass p2m_class = values.at(value);
  const PfnExtent pfns = guest_->PfnsOf(step["lo"], step["hi"]);
  const Mfn mfn = p2m_class == P2mClass::kRam
                      ? guest_->MfnOf(step.value("mfn", uint64_t{0}))
                      : Mfn();
  return Start(IdOf(step), step,
               [=, this](const Operation& operation, Json& result) {
                 const auto done = guest_->domain().p2m().SetRange(
                     operation, pfns, p2m_class, mfn, policy);
                 if (done.ok()) result["released"] = done->released.value();
                 return done.status();
               });
}

Json MmuReplay::ForeignUnmap(const Json& step) {
  std::vector<uint64_t> pfns;
  for (const Json& pfn : step["pfns"]) {
    pfns.push_back(guest_->PfnOf(pfn).value());
  }
  return Start(IdOf(step), step,
               [this, pfns](const Operation& operation, Json& result) {
                 ForeignReport report;
                 const absl::Status status = guest_->host().UnmapForeign(
                     operation, guest_->shared(), pfns, report);
                 result["unmapped"] = report.done;
                 result["failed"] = report.failed;
                 return status;
               });
}

Json MmuReplay::Suspend(const Json& step) {
  const std::string reason = step.value("reason", "suspend");
  if (reason != "suspend" && reason != "migrate") return CannotReplay(reason);
  // A guest is not saved while its dirty log is on: to suspend it then is the
  // end of its migration, whatever the case calls it.
  const bool logs = guest_->domain().Peek(
      [](const Parts& on) { return on.memory.dirty().enabled(); });
  const SuspendFor purpose =
      reason == "suspend" && !logs ? SuspendFor::kSave : SuspendFor::kMigration;
  guest_->CallMigration(reason);
  return Start(IdOf(step), step,
               [this, purpose](const Operation& operation, Json&) {
                 absl::StatusOr<SuspendRecord> record =
                     guest_->domain().migration().Suspend(operation, purpose);
                 if (!record.ok()) return record.status();
                 suspension_ = record->suspension;
                 suspended_ = true;
                 guest_->Suspended(*std::move(record));
                 return absl::OkStatus();
               });
}

Json MmuReplay::Resume(const Json& step) {
  const Json stands =
      Start(IdOf(step), step, [this](const Operation& operation, Json&) {
        suspended_ = false;
        return guest_->domain().migration().Resume(operation, suspension_,
                                                   /*paused=*/false);
      });
  if (stands.is_discarded()) return stands;
  Json result = WithCounters(Json::object());
  result["?state"] = stands["state"];
  return result;
}

Json MmuReplay::Destroy(const Json& step) {
  const std::string reason = step.value("reason", "destroy");
  const std::string id = IdOf(step);
  if (reason == "shutdown") {
    return Start(id, step, [this](const Operation& operation, Json&) {
      return guest_->domain().mmus().Shutdown(operation);
    });
  }
  if (reason != "destroy" && reason != "migrated" && reason != "migrate") {
    return CannotReplay(reason);
  }
  if (reason != "destroy") {
    EXPECT_TRUE(guest_->domain().migration().BeginHandover({"hand over"}).ok());
    guest_->domain().migration().EndHandover("target");
  }
  return Start(
      id, step, [this](const Operation&, Json& result) -> absl::Status {
        // The case knows neither the pages of the kernel nor those behind.
        const uint64_t unknown = guest_->Structure() + guest_->SpareFrames();
        const auto freed = guest_->host().DestroyDomain(guest_->shared());
        if (!freed.ok()) return freed.status();
        guest_->Destroyed();
        result["freed"] = freed->value() - unknown;
        return absl::OkStatus();
      });
}

Json MmuReplay::Arrive(const Json& step) {
  if (mmus() != nullptr) {
    for (const auto& client : clients_) {
      mmus()->Fence(client->id(), FenceCause::kOperator);
    }
  }
  Settle();
  if (!suspended_) Suspend({{"op", "arrive"}, {"reason", "suspend"}});
  if (!suspended_) return CannotReplay("the guest cannot be suspended");
  guest_->Arrive(step.value("mfn_base", uint64_t{4096}));
  suspended_ = false;
  clients_.clear();
  return {{"?epoch", guest_->domain().Peek(
                         [](const Parts& on) { return on.mapping_epoch; })}};
}

Json MmuReplay::LogDirtyStart(const Json& step) {
  return Start(IdOf(step), step, [this](const Operation& operation, Json&) {
    return guest_->domain().migration().StartLogDirty(operation).status();
  });
}

Json MmuReplay::LogDirtyClean(const Json& step) {
  return Start(IdOf(step), step,
               [this](const Operation& operation, Json& result) {
                 const absl::StatusOr<DirtyPages> cleaned =
                     guest_->domain().migration().CleanLogDirty(operation);
                 if (!cleaned.ok()) return cleaned.status();
                 result["dirty"] = PfnsIn(cleaned->pfns);
                 return absl::OkStatus();
               });
}

Json MmuReplay::LogDirtyStop(const Json&) {
  guest_->domain().migration().StopLogDirty();
  return nullptr;
}

Json MmuReplay::GuestWrite(const Json& step) {
  const absl::Status status = guest_->domain().contents().Write(
      {"write"}, guest_->PfnOf(step["pfn"]), 0, "written");
  if (!status.ok()) return WordFor(status);
  return nullptr;
}

Json MmuReplay::Young(const Json& step) {
  const std::string id = IdOf(step);
  const PfnExtent pfns = guest_->PfnsOf(step["lo"], step["hi"]);
  const bool clear = step.value("clear", true);
  std::map<std::string, uint64_t> before;
  for (const auto& client : clients_) {
    before[client->name()] = client->LastYoung();
  }
  Start(id, step, [=, this](const Operation& operation, Json& result) {
    waiter_.Find(id)->phase = BatonWaiter::Phase::kAnswers;
    const auto answer = guest_->domain().mmus().SampleAccessed(
        operation, pfns, clear, absl::Seconds(1));
    if (!answer.ok()) return answer.status();
    result["young"] = PfnsIn(answer->young);
    return absl::OkStatus();
  });
  for (const auto& client : clients_) {
    if (client->LastYoung() == before[client->name()]) continue;
    changes_[id].asked[client->name()] = client->LastYoung();
  }
  return StateOf(id);
}

Json MmuReplay::PfnsIn(const PfnSet& pfns) {
  Json list = Json::array();
  for (const auto& [first, end] : pfns.extents()) {
    for (Pfn at = first; at < end; at += PageCount(1)) {
      if (guest_->IsInWindow(at)) list.push_back(guest_->FromPfn(at));
    }
  }
  return list;
}

}  // namespace simvisor
