#include "domain/vm/domain_mmus.h"

#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/vm/domain.h"

namespace simvisor {
namespace {

absl::Status NotAttached(const Context& context, SubscriptionId id) {
  return context.Refuse(
      absl::StatusCode::kFailedPrecondition, Reason::kSecondaryMmuNotAttached,
      absl::StrFormat("by subscription %d", static_cast<uint64_t>(id)),
      "the domain has no such subscription; subscribe first",
      {{fact::kValue, static_cast<uint64_t>(id)}});
}

absl::Status CheckEpoch(const Context& context, uint64_t expected,
                        uint64_t epoch) {
  if (expected == 0 || expected == epoch) return absl::OkStatus();
  return context.Refuse(
      absl::StatusCode::kFailedPrecondition, Reason::kEpochChanged, "",
      absl::StrFormat("its memory is of epoch %d, not %d: it was restored or "
                      "has moved since; forget what is known of its frames, "
                      "and subscribe without expect_epoch",
                      epoch, expected),
      {{fact::kValue, expected}, {fact::kLimit, epoch}});
}

absl::Status CheckHasPages(const Context& context, const Parts& on) {
  if (on.guest() != nullptr || on.built() != nullptr) return absl::OkStatus();
  return context.Refuse(absl::StatusCode::kFailedPrecondition,
                        Reason::kDomainNotBooted, "",
                        "it has neither a guest nor an image of one yet; wait "
                        "until it is built");
}

absl::Status CheckPlaces(const Context& context, const SecondaryMmus& mmus) {
  const uint32_t has = mmus.Totals().subscriptions;
  if (has < MmuLimits::kPerDomain) return absl::OkStatus();
  return context.Refuse(
      absl::StatusCode::kResourceExhausted, Reason::kSecondaryMmusExhausted, "",
      absl::StrFormat("it has %d subscriptions, the most there may be; end one "
                      "first",
                      has),
      {{fact::kLimit, MmuLimits::kPerDomain}, {fact::kUnit, "subscriptions"}});
}

absl::Status CheckBytes(const Context& context, Pfn pfn, uint64_t offset,
                        uint64_t size) {
  if (size > 0 && offset < kPageSize && size <= kPageSize - offset) {
    return absl::OkStatus();
  }
  return context.Refuse(
      absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
      absl::StrFormat("of %d bytes at pfn 0x%x offset %d", size, pfn.value(),
                      offset),
      absl::StrFormat("name at least one byte, and only bytes of one page of "
                      "%d",
                      kPageSize),
      {{fact::kValue, offset}, {fact::kLimit, kPageSize}});
}

absl::Status CheckOwn(const Context& context, Pfn pfn, P2mWord word) {
  if (word.Class() == P2mClass::kRam) return absl::OkStatus();
  return context.Refuse(
      absl::StatusCode::kFailedPrecondition, Reason::kPfnNotRam,
      absl::StrFormat("at pfn 0x%x", pfn.value()),
      "it maps another domain's frame, whose contents only its owner's calls "
      "reach",
      {{fact::kValue, Hex(pfn.value())}});
}

absl::Status CheckMayStore(const Context& context, Pfn pfn,
                           const GuestMemory& memory) {
  const PfnExtent page = {pfn, PageCount(1)};
  if (!memory.list_pages().Intersects(page) && !memory.HoldsPageTables(page)) {
    return absl::OkStatus();
  }
  return context.Refuse(absl::StatusCode::kFailedPrecondition,
                        Reason::kPageInUseByKernel,
                        absl::StrFormat("at pfn 0x%x", pfn.value()),
                        "the guest keeps its p2m list or a page table there",
                        {{fact::kValue, Hex(pfn.value())}});
}

}  // namespace

std::shared_ptr<SecondaryMmus> DomainMmus::Find() const {
  const MmuState* const state = domain_.mmu_state();
  return state == nullptr ? nullptr : state->mmus;
}

MmuTotals DomainMmus::Totals() const {
  const MmuState* const state = domain_.mmu_state();
  if (state == nullptr) return MmuTotals();
  MmuTotals totals = state->mmus->Totals();
  totals.epoch = state->epoch;
  totals.waiting_changes = state->waiting.load(std::memory_order_relaxed);
  return totals;
}

MmuState& DomainMmus::StateFor(ChangeScope& change) const {
  if (MmuState* const state = domain_.mmu_state(); state != nullptr) {
    return *state;
  }
  auto* const state = new MmuState(domain_.identity(), domain_.published_,
                                   change.parts().mapping_epoch);
  domain_.mmu_state_.store(state, std::memory_order_release);
  return *state;
}

absl::StatusOr<SubscriptionId> DomainMmus::Register(
    const Operation& operation, MmuSpec spec,
    SecondaryMmus::Holder holder) const {
  const Context named(domain_.identity(), operation.name);
  SIMVISOR_RETURN_IF_ERROR(CheckMmuSpec(named, spec));
  // Before anything is held off.
  SIMVISOR_ASSIGN_OR_RETURN(MmuQuota::Place place,
                            domain_.machine_mmus_.quota.Take(named));
  return domain_.Change(
      operation, Needs::kNotSuspended,
      [&](ChangeScope& change) -> absl::StatusOr<SubscriptionId> {
        change.ShowNothing();
        const Context& context = change.context();
        Parts& on = change.parts();
        SIMVISOR_RETURN_IF_ERROR(CheckHasPages(context, on));
        MmuState& state = StateFor(change);
        SIMVISOR_RETURN_IF_ERROR(
            CheckEpoch(context, spec.expect_epoch, state.epoch));
        SIMVISOR_RETURN_IF_ERROR(CheckPlaces(context, *state.mmus));
        ChangeWaits& waits = change.waits();
        waits.Activate(state);
        SIMVISOR_RETURN_IF_ERROR(waits.ClaimAll());
        SIMVISOR_RETURN_IF_ERROR(waits.ReachRegistering());
        const absl::Time now = waits.waiter().Now();
        SIMVISOR_ASSIGN_OR_RETURN(
            const SubscriptionId id,
            state.mmus->Insert(context, std::move(spec), std::move(place),
                               std::move(holder), state.epoch, now));
        state.mmus->SetLogging(on.memory.dirty().enabled());
        return id;
      });
}

absl::StatusOr<std::string> DomainMmus::Load(const Operation& operation,
                                             SubscriptionId id, Pfn pfn,
                                             uint64_t offset,
                                             uint64_t size) const {
  return domain_.Look(
      operation.name, Needs::kAlive,
      [&](const Parts& on,
          const Context& context) -> absl::StatusOr<std::string> {
        SIMVISOR_RETURN_IF_ERROR(CheckBytes(context, pfn, offset, size));
        MmuState* const state = domain_.mmu_state();
        if (state == nullptr) return NotAttached(context, id);
        SIMVISOR_RETURN_IF_ERROR(
            state->mmus->CheckAccess(id, pfn, /*write=*/false).status());
        SIMVISOR_RETURN_IF_ERROR(
            CheckOwn(context, pfn, on.memory.words().Lookup(pfn)));
        std::string bytes(size, '\0');
        on.memory.Read(pfn, offset, absl::MakeSpan(bytes));
        return bytes;
      });
}

absl::Status DomainMmus::Store(const Operation& operation, SubscriptionId id,
                               Pfn pfn, uint64_t offset,
                               absl::string_view data) const {
  return domain_.Change(
      operation, Needs::kAlive, [&](ChangeScope& change) -> absl::Status {
        change.ShowNothing();
        const Context& context = change.context();
        GuestMemory& memory = change.parts().memory;
        SIMVISOR_RETURN_IF_ERROR(CheckBytes(context, pfn, offset, data.size()));
        MmuState* const state = domain_.mmu_state();
        if (state == nullptr) return NotAttached(context, id);
        SIMVISOR_RETURN_IF_ERROR(
            state->mmus->CheckAccess(id, pfn, /*write=*/true).status());
        SIMVISOR_RETURN_IF_ERROR(
            CheckOwn(context, pfn, memory.words().Lookup(pfn)));
        SIMVISOR_RETURN_IF_ERROR(CheckMayStore(context, pfn, memory));
        std::vector<PagePtr> spare;
        if (memory.TakesPage(pfn, data)) {
          const absl::Status taken = change.pool().store()->Take(1, spare);
          if (!taken.ok()) return context.Within(taken);
        }
        memory.WriteUnmarked(pfn, offset, data, spare);
        return absl::OkStatus();
      });
}

absl::StatusOr<SecondaryMmus::YoungAnswer> DomainMmus::SampleAccessed(
    const Operation& operation, PfnExtent pfns, bool clear,
    absl::Duration most) const {
  SIMVISOR_RETURN_IF_ERROR(domain_.Look(
      operation.name, Needs::kAlive,
      [](const Parts&, const Context&) { return absl::OkStatus(); }));
  const std::shared_ptr<SecondaryMmus> mmus = Find();
  if (mmus == nullptr) return SecondaryMmus::YoungAnswer();
  ChangeWaiter& waiter = operation.waiter == nullptr
                             ? domain_.machine_mmus_.waiter
                             : *operation.waiter;
  ChangeGate gate;
  const uint64_t question = mmus->accessed().AskYoung(pfns, clear, &gate);
  mmus->accessed().CallBackYoung(question);
  const absl::Status waited =
      waiter.Wait(gate, operation.stop, waiter.Now() + most);
  SecondaryMmus::YoungAnswer answer = mmus->accessed().EndYoung(question);
  if (!waited.ok()) return waited;
  return answer;
}

absl::Status DomainMmus::Invalidate(
    const Operation& operation, PfnExtent pfns, InvalidateReason reason,
    absl::FunctionRef<void()> while_open) const {
  return domain_.Change(
      operation, Needs::kAlive, [&](ChangeScope& change) -> absl::Status {
        change.ShowNothing();
        ChangeWaits& waits = change.waits();
        PfnSet set;
        set.Add(pfns);
        SIMVISOR_RETURN_IF_ERROR(waits.Claim({.pfns = set, .shared = true}));
        SIMVISOR_RETURN_IF_ERROR(waits.Tell(set, reason));
        waits.StepAside(while_open);
        waits.EndTold();
        return absl::OkStatus();
      });
}

absl::Status DomainMmus::InvalidatePage(const Operation& operation,
                                        Pfn pfn) const {
  return domain_.Change(
      operation, Needs::kAlive, [&](ChangeScope& change) -> absl::Status {
        change.ShowNothing();
        ChangeWaits& waits = change.waits();
        PfnSet set;
        set.Add({pfn, PageCount(1)});
        SIMVISOR_RETURN_IF_ERROR(waits.Claim({.pfns = set, .shared = true}));
        return waits.TellPage(pfn);
      });
}

absl::Status DomainMmus::Shutdown(const Operation& operation) const {
  return domain_.Change(operation, Needs::kAlive,
                        [](ChangeScope& change) -> absl::Status {
                          change.ShowNothing();
                          change.waits().Release(ReleaseReason::kShutdown, "");
                          return absl::OkStatus();
                        });
}

}  // namespace simvisor
