#include "domain/vm/domain_migration.h"

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/guest/guest_suspend.h"
#include "domain/vm/balloon_rounds.h"
#include "domain/vm/domain.h"
#include "domain/vm/kernel_notes.h"

namespace simvisor {
namespace {

absl::Status CheckNotMigrating(const Context& context, const Parts& on) {
  if (!on.memory.dirty().enabled()) return absl::OkStatus();
  return context.Refuse(
      absl::StatusCode::kFailedPrecondition, Reason::kDomainMigrating, "",
      "a migration of it is under way; wait for its end, or cancel it");
}

absl::Status CheckNoDevices(const Context& context, size_t devices) {
  if (devices == 0) return absl::OkStatus();
  return context.Refuse(absl::StatusCode::kFailedPrecondition,
                        Reason::kDomainNotMigratable, "",
                        absl::StrFormat("it has %d PCI devices passed "
                                        "through, which cannot move with it; "
                                        "create it without pci",
                                        devices),
                        {{fact::kRequested, devices},
                         {fact::kLimit, 0},
                         {fact::kUnit, "PCI devices"}});
}

// Pages that travel: frames in no word have no pfn to travel by.
PageCount PagesToMove(const Parts& on) {
  return on.reservation.current() - on.memory.unplaced().size();
}

absl::Status CheckSuspend(ChangeScope& change, size_t devices,
                          SuspendFor purpose) {
  const Context& context = change.context();
  SIMVISOR_RETURN_IF_ERROR(CheckNoDevices(context, devices));
  SIMVISOR_RETURN_IF_ERROR(CheckCanTravel(context, *change.parts().guest()));
  return purpose == SuspendFor::kSave
             ? CheckNotMigrating(context, change.parts())
             : absl::OkStatus();
}

absl::StatusOr<SuspendRecord> MakeRecord(ChangeScope& change, uint32_t vcpus) {
  const Parts& on = change.parts();
  const Guest& guest = *on.guest();
  SuspendRecord record;
  SIMVISOR_ASSIGN_OR_RETURN(record.tools, guest.list().FindToolsRoot());
  record.arch = guest.list().abi().arch;
  record.vcpus = vcpus;
  record.pages = PagesToMove(on);
  record.last_pfn = guest.list().last_pfn();
  record.generation = guest.list().generation();
  SIMVISOR_ASSIGN_OR_RETURN(record.notes,
                            EncodeNotes(on, record.vcpus, change.stop()));
  SIMVISOR_RETURN_IF_ERROR(
      PlaceRecord(change.context(), guest, on.memory, change.stop(), record));
  return record;
}

}  // namespace

absl::StatusOr<LiveGuest> DomainMigration::StartLogDirty(
    const Operation& operation) const {
  const size_t devices = domain_.Info().pci_devices.size();
  return domain_.Change(
      operation, Needs::kCanSuspend,
      [devices](ChangeScope& change) -> absl::StatusOr<LiveGuest> {
        Parts& on = change.parts();
        const auto check = [&]() -> absl::Status {
          const Context& context = change.context();
          SIMVISOR_RETURN_IF_ERROR(CheckNoDevices(context, devices));
          SIMVISOR_RETURN_IF_ERROR(CheckCanTravel(context, *on.guest()));
          return CheckNotMigrating(context, on);
        };
        ChangeWaits& waits = change.waits();
        SIMVISOR_RETURN_IF_ERROR(check());
        SIMVISOR_RETURN_IF_ERROR(waits.ClaimAll(/*shared=*/true));
        SIMVISOR_RETURN_IF_ERROR(check());
        SIMVISOR_RETURN_IF_ERROR(waits.TellAll(InvalidateReason::kProtect));
        if (absl::Status now = check(); !now.ok()) {
          waits.AbortTold();
          return now;
        }
        on.memory.dirty().Enable();
        // While the range is open, so no grant gets past it.
        waits.SetLogging(true);
        const P2mList& list = on.guest()->list();
        return LiveGuest{.arch = list.abi().arch,
                         .last_pfn = list.last_pfn(),
                         .generation = list.generation(),
                         .pages = PagesToMove(on)};
      });
}

absl::StatusOr<DirtyPages> DomainMigration::CleanLogDirty(
    const Operation& operation) const {
  return domain_.Change(
      operation, Needs::kAlive,
      [](ChangeScope& change) -> absl::StatusOr<DirtyPages> {
        change.ShowNothing();
        GuestMemory& memory = change.parts().memory;
        ChangeWaits& waits = change.waits();
        SIMVISOR_RETURN_IF_ERROR(waits.BeginClean());
        SIMVISOR_ASSIGN_OR_RETURN(PfnSet dirty,
                                  waits.Protect(memory.dirty().Clean()));
        return DirtyPages{std::move(dirty), memory.words().generation()};
      });
}

PageCount DomainMigration::PeekLogDirty() const {
  return domain_.Peek([this](const Parts& on) {
    const PfnSet& dirty = on.memory.dirty().pfns();
    PageCount count = dirty.size();
    if (const auto mmus = domain_.mmus().Find(); mmus != nullptr) {
      const PfnSet granted = mmus->Granted();
      for (const auto& [first, end] : granted.extents()) {
        const PfnExtent pfns = ExtentBetween(first, end);
        count += pfns.count - dirty.CountIn(pfns);
      }
    }
    return count;
  });
}

void DomainMigration::StopLogDirty() const {
  domain_
      .Change({"stop the dirty log"}, Needs::kNothing,
              [](ChangeScope& change) {
                change.ShowNothing();
                change.parts().memory.dirty().Disable();
                change.waits().SetLogging(false);
                return absl::OkStatus();
              })
      .IgnoreError();
}

absl::StatusOr<SuspendRecord> DomainMigration::Suspend(
    const Operation& operation, SuspendFor purpose) const {
  SIMVISOR_RETURN_IF_ERROR(operation.stop());
  // PCI devices never change, and virtual CPUs do not once the guest has come.
  const DomainInfo info = domain_.Info();
  const size_t devices = info.pci_devices.size();
  return domain_.Change(
      operation, Needs::kCanSuspend,
      [&](ChangeScope& change) -> absl::StatusOr<SuspendRecord> {
        ChangeWaits& waits = change.waits();
        SIMVISOR_RETURN_IF_ERROR(CheckSuspend(change, devices, purpose));
        SIMVISOR_RETURN_IF_ERROR(waits.ClaimAll());
        SIMVISOR_RETURN_IF_ERROR(CheckSuspend(change, devices, purpose));
        // The guest runs on until all have answered.
        SIMVISOR_RETURN_IF_ERROR(waits.TellAll(
            purpose == SuspendFor::kSave ? InvalidateReason::kSuspend
                                         : InvalidateReason::kMigrate));
        const absl::Status can = CheckSuspend(change, devices, purpose);
        absl::StatusOr<SuspendRecord> record =
            can.ok() ? MakeRecord(change, info.vcpus) : can;
        if (!record.ok()) {
          waits.AbortTold();
          return record;
        }
        record->suspension = change.parts().life.Suspend();
        waits.KeepSuspended();
        return record;
      });
}

absl::Status DomainMigration::Resume(const Operation& operation,
                                     uint64_t suspension, bool paused) const {
  return domain_.Change(
      operation, Needs::kAlive, [=](ChangeScope& change) -> absl::Status {
        Parts& on = change.parts();
        if (!on.life.Resume(suspension)) return absl::OkStatus();
        // The pages of what is published are there; publishing only rewrites
        // them.
        SIMVISOR_RETURN_IF_ERROR(
            on.guest()->list().Publish(on.guest()->free_pages()));
        change.waits().EndSuspended();
        if (paused) return absl::OkStatus();
        on.life.Run();
        change.waits().Demand(Needs::kRunning);
        ReadTarget(change).IgnoreError();
        return absl::OkStatus();
      });
}

absl::Status DomainMigration::BeginHandover(const Operation& operation) const {
  return domain_.Change(operation, Needs::kNothing,
                        [](ChangeScope& change) -> absl::Status {
                          return change.parts().life.BeginHandover(
                              change.context(), change.held());
                        });
}

void DomainMigration::EndHandover(std::string moved_to) const {
  domain_
      .Change({"end the handover"}, Needs::kNothing,
              [&moved_to](ChangeScope& change) {
                change.parts().life.EndHandover(std::move(moved_to));
                return absl::OkStatus();
              })
      .IgnoreError();
}

absl::StatusOr<Pfn> DomainMigration::ReadForImage(
    PfnExtent pfns, size_t max_runs, std::vector<ImageRun>& runs) const {
  return domain_.Look(
      "read for an image", Needs::kAlive,
      [&](const Parts& on, const Context&) -> absl::StatusOr<Pfn> {
        Pfn at = pfns.first;
        for (size_t n = 0; n < max_runs && at < pfns.end(); ++n) {
          runs.push_back(on.memory.RunForImage(at, pfns.end()));
          at = runs.back().pfns.end();
        }
        return at;
      });
}

absl::StatusOr<std::vector<Pfn>> DomainMigration::LeafPages(uint64_t first,
                                                            size_t most) const {
  return domain_.Look(
      "list leaf pages", Needs::kAlive,
      [=](const Parts& on, const Context&) -> absl::StatusOr<std::vector<Pfn>> {
        std::vector<Pfn> pages;
        if (on.guest() == nullptr) return pages;
        const P2mList& list = on.guest()->list();
        const uint64_t end = list.p2m_size().value() / list.abi().leaf_span();
        for (uint64_t leaf = first; leaf < end && pages.size() < most; ++leaf) {
          pages.push_back(list.shape().LeafPageAt(leaf));
        }
        return pages;
      });
}

Pfn DomainMigration::PfnOfFrame(Mfn mfn) const {
  const FrameRun run = domain_.pool().Lookup(mfn);
  const bool own = run.state == FrameState::kOwned && run.owner == domain_.id();
  return own ? run.first_pfn : Pfn::None();
}

}  // namespace simvisor
