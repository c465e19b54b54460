#include "domain/vm/domain_build.h"

#include <algorithm>
#include <cassert>
#include <memory>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/vm/domain.h"

namespace simvisor {
namespace {

// Pages that are given frames in one change of the domain.
constexpr PageCount kPlacedAtOnce{uint64_t{1} << 16};

// Gives pfns from 0 on frames of the scope's claim.
absl::Status PopulateAll(ChangeScope& change, PageCount memory) {
  P2mWords& words = change.parts().memory.words();
  while (change.CurrentReservation() < memory) {
    SIMVISOR_RETURN_IF_ERROR(change.Preempted());
    const PageCount had = change.CurrentReservation();
    change.PopulatePhysmap(
        {Pfn(had.value()), memory - had},
        [&words, &change](Pfn pfn, absl::Span<const MfnExtent> frames) {
          words.StoreFrames(change.permit(), pfn, frames);
        });
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status DomainBuild::Populate(const Operation& operation,
                                   BuildPlan plan) const {
  const auto populate = [&](ChangeScope& change) -> absl::Status {
    const PageCount memory = plan.memory;
    SIMVISOR_ASSIGN_OR_RETURN(
        std::unique_ptr<BuiltImage> built,
        BuiltImage::Build(std::move(plan), change.parts().memory.words(),
                          domain_.faults_));
    change.parts().SetBuilt(std::move(built));
    if (const absl::Status claimed = change.ClaimFrames(memory);
        !claimed.ok()) {
      return Within(
          absl::StrFormat("create of domain \"%s\": ", domain_.name()), claimed,
          {{fact::kOperation, operation.name},
           {fact::kDomain, domain_.name()}});
    }
    return PopulateAll(change, memory);
  };
  return domain_.Change(operation, Needs::kAlive,
                        [&](ChangeScope& change) -> absl::Status {
                          absl::Status status = populate(change);
                          if (!status.ok()) domain_.Relinquish(change);
                          return status;
                        });
}

absl::StatusOr<NotedGuest> DomainBuild::PlanGuest(const GuestNotes& notes,
                                                  const PfnSet& received,
                                                  Pfn end,
                                                  StopCheck stop) const {
  return DecodeNotes(notes,
                     {.id = domain_.id(),
                      .abi = &domain_.abi(),
                      .received = received,
                      .end = end,
                      .faults = domain_.faults_},
                     stop);
}

absl::Status DomainBuild::PlacePages(const Operation& operation,
                                     const PfnSet& pages,
                                     ReceivedPages& received) const {
  assert(received.claim.remaining() >= pages.size());
  for (const auto& [first, last] : pages.extents()) {
    const Pfn end = last;
    for (Pfn at = first; at < end;) {
      SIMVISOR_RETURN_IF_ERROR(operation.stop());
      SIMVISOR_RETURN_IF_ERROR(domain_.Change(
          operation, Needs::kAlive, [&](ChangeScope& change) -> absl::Status {
            change.DrawOn(received.claim);
            P2mWords& words = change.parts().memory.words();
            at += change.PopulatePhysmap(
                {at, std::min(end - at, kPlacedAtOnce)},
                [&words, &change](Pfn pfn, absl::Span<const MfnExtent> frames) {
                  words.StoreFrames(change.permit(), pfn, frames);
                });
            return absl::OkStatus();
          }));
    }
  }
  received.claim = FrameClaim();
  return domain_.Change(
      operation, Needs::kAlive, [&](ChangeScope& change) -> absl::Status {
        GuestMemory& memory = change.parts().memory;
        received.contents.TakeAll([&memory](uint64_t pfn, PagePtr page) {
          const P2mWord word = memory.words().Lookup(Pfn(pfn));
          if (word.Class() != P2mClass::kRam) return;
          memory.Put(Mfn(word.Number()), std::move(page));
        });
        return absl::OkStatus();
      });
}

absl::Status DomainBuild::TakeIn(const Operation& operation,
                                 ReceivedPages& received) const {
  return PlacePages(operation, received.pages, received);
}

absl::Status DomainBuild::TakeGuestIn(const Operation& operation,
                                      NotedGuest noted,
                                      absl::Span<const Pfn> record_pages,
                                      ReceivedPages& received,
                                      LimitsFrom limits,
                                      Arrival arrival) const {
  SIMVISOR_RETURN_IF_ERROR(domain_.Change(
      operation, Needs::kAlive, [&](ChangeScope& change) -> absl::Status {
        assert(change.CurrentReservation() == PageCount(0));
        change.parts().memory.ReplaceWords(std::move(noted.words));
        return absl::OkStatus();
      }));
  SIMVISOR_RETURN_IF_ERROR(PlacePages(operation, noted.ram, received));
  return domain_.Change(
      operation, Needs::kAlive, [&](ChangeScope& change) -> absl::Status {
        Parts& on = change.parts();
        if (limits == LimitsFrom::kNotes) {
          on.reservation.TakeLimits(noted.limits);
        }
        on.mapping_epoch = MappingEpochAfter(noted.mapping_epoch);
        domain_.vcpus_.Grow(noted.vcpus);
        domain_.InstallGuest(on, std::move(noted.guest));
        on.guest()->ForgetStoredPages(record_pages);
        on.life.ArrivePaused();
        if (arrival == Arrival::kSuspended) on.life.ArriveSuspended();
        return absl::OkStatus();
      });
}

absl::Status DomainBuild::AdoptForeignKernel(const Operation& operation,
                                             absl::Span<const uint64_t> leaves,
                                             uint32_t vcpus) const {
  return domain_.Change(
      operation, Needs::kAlive, [&](ChangeScope& change) -> absl::Status {
        Parts& on = change.parts();
        SIMVISOR_ASSIGN_OR_RETURN(
            BuilderList list, BuilderList::OfForeignKernel(
                                  on.memory.words(), leaves, change.stop()));
        on.SetBuilt(BuiltImage::OfForeignKernel(std::move(list)));
        on.mapping_epoch = MappingEpochAfter(kFirstMappingEpoch);
        domain_.vcpus_.Grow(vcpus);
        on.life.NeverRuns();
        return absl::OkStatus();
      });
}

}  // namespace simvisor
