// Operations of the matrix on a domain's life, its place in the host, and its
// migration.
//
// Thread safety: one thread.

#ifndef SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_LIFE_OPERATIONS_H_
#define SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_LIFE_OPERATIONS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/domain/goldens/golden_calls.h"
#include "tests/domain/goldens/matrix_operation.h"

namespace simvisor {

namespace matrix_internal {

inline Outcome ToldState(const absl::StatusOr<DomainState>& state) {
  return Told(state, [](DomainState s) { return TextOf(s); });
}
inline Outcome ToldFreed(const absl::StatusOr<PageCount>& freed) {
  return Told(freed, [](PageCount n) { return "freed " + TextOf(n); });
}
inline Outcome ToldFound(const absl::StatusOr<std::shared_ptr<Domain>>& found) {
  return Told(found, [](const std::shared_ptr<Domain>& domain) {
    return absl::StrCat("domain ", domain->id().value());
  });
}

inline Outcome ToldRecord(const absl::StatusOr<SuspendRecord>& record) {
  return Told(record, [](const SuspendRecord& r) {
    return absl::StrFormat(
        "suspension %d, vcpus %d, pages %d, last 0x%x, generation %d, "
        "start_info 0x%x, store 0x%x, console 0x%x, gdt 0x%x, tables %d, "
        "notes %d bytes in %d pages",
        r.suspension, r.vcpus, r.pages.value(), r.last_pfn.value(),
        r.generation, r.start_info.value(), r.store.value(), r.console.value(),
        r.gdt.value(), r.tables.size(), r.notes.size(), r.notes_pages.size());
  });
}

inline Outcome Info(Scene& s) {
  const auto at_once = calls::TryPages(*s.guest);
  return Told(
      absl::OkStatus(),
      absl::StrFormat("booted %d, gone %d, shown %d, at once %d",
                      calls::HasBooted(*s.guest), calls::IsGone(*s.guest),
                      calls::ShownPages(*s.guest).value(),
                      at_once.value_or(PageCount(0)).value()));
}

inline Outcome List(Scene& s) {
  std::string ids;
  for (const auto& domain : calls::List(*s.host)) {
    absl::StrAppend(&ids, ids.empty() ? "" : " ", domain->id().value());
  }
  return Told(absl::OkStatus(), ids);
}

inline Outcome CreateWithPci(Scene& s) {
  DomainSpec spec = MakeSpec("third", 300);
  spec.e820_host = true;
  spec.pci_devices = {*PciAddress::Parse("0000:01:00.*")};
  return ToldFound(calls::Create(*s.host, spec, false));
}

inline Outcome CreateLike(Scene& s, bool same_name, bool same_uuid) {
  DomainSpec spec = MakeSpec(same_name ? "guest" : "third", 300);
  if (same_uuid) spec.uuid = s.guest->Info().uuid;
  return ToldFound(calls::Create(*s.host, spec, false));
}

inline Outcome Resume(Scene& s, uint64_t suspension, bool paused,
                      StopCheck stop = NeverStop) {
  return Told(calls::Resume(*s.guest, suspension, paused, stop));
}

inline Outcome BeginHandover(Scene& s) {
  return Told(calls::BeginHandover(*s.guest));
}
inline Outcome EndHandover(Scene& s) {
  calls::EndHandover(*s.guest);
  return Told(absl::OkStatus());
}
inline Outcome Destroy(Scene& s) {
  return ToldFreed(calls::Destroy(*s.host, s.guest));
}
inline Outcome BeginDestroy(Scene& s) {
  return Told(calls::BeginDestroy(*s.guest));
}
inline Outcome StartLogDirty(Scene& s) {
  return Told(calls::StartLogDirty(*s.guest), [](const LiveGuest& live) {
    return absl::StrFormat("last 0x%x, generation %d, pages %d",
                           live.last_pfn.value(), live.generation,
                           live.pages.value());
  });
}
inline Outcome CleanLogDirty(Scene& s) {
  return Told(calls::CleanLogDirty(*s.guest), [](const DirtyPages& dirty) {
    return absl::StrFormat("%d pfns, generation %d", dirty.pfns.size().value(),
                           dirty.generation);
  });
}
inline Outcome StopLogDirty(Scene& s) {
  calls::StopLogDirty(*s.guest);
  return Told(absl::OkStatus());
}

inline Outcome FindList(Scene& s) {
  return Told(calls::FindMfnListList(*s.guest), [](const MfnListList& list) {
    return absl::StrFormat(
        "%s, root %s, cr3 0x%x, vaddr 0x%x, max 0x%x, generation %d",
        list.root.view == ToolsView::kTree ? "tree" : "linear",
        NumberText(list.root.root), list.root.p2m_cr3, list.root.p2m_vaddr,
        list.max_pfn.value(), list.generation);
  });
}

// What each kind of change leaves in the dirty log, whether or not it succeeds.
inline Outcome ChangeAndClean(Scene& s) {
  std::vector<Outcome> outcomes = {StartLogDirty(s)};
  const auto clean = [&](const absl::Status& changed) {
    Outcome outcome = Told(changed);
    std::string pfns;
    if (const auto dirty = calls::CleanLogDirty(*s.guest); dirty.ok()) {
      for (const auto& [first, end] : dirty->pfns.extents()) {
        absl::StrAppend(&pfns, " ", TextOf(ExtentBetween(first, end)));
      }
    }
    outcome.text += pfns;
    outcomes.push_back(outcome);
  };
  clean(calls::WriteMemory(*s.guest, Pfn(kPlain), 4090, "two pages"));
  clean(calls::BalloonDown(*s.guest, 5, false).status());
  clean(calls::BalloonUp(*s.guest, 3, false).status());
  clean(calls::SetRange(*s.guest, {Pfn(kRoom), PageCount(2)},
                        P2mClass::kIdentity, Mfn(), RamPolicy::kRefuse)
            .status());
  LoadSpec load;
  load.working_set = PageCount(4);
  clean(calls::StartLoad(*s.guest, load));
  clean(calls::RunLoad(*s.guest, 2).status());
  clean(calls::StopLoad(*s.guest).status());
  clean(calls::CreateSpaces(*s.guest, 1).status());
  clean(calls::DestroySpaces(*s.guest, {1}).status());
  clean(calls::SyncSpaces(*s.guest).status());
  return Joined(outcomes);
}

inline Outcome ReadForImage(Scene& s) {
  std::vector<ImageRun> runs;
  const auto next =
      calls::ReadForImage(*s.guest, {Pfn(0), PageCount(4000)}, runs);
  uint64_t zeros = 0, data = 0, tables = 0, pinned = 0;
  for (const ImageRun& run : runs) {
    if (run.kind == ImageRun::Kind::kZero) zeros += run.pfns.count.value();
    if (run.kind == ImageRun::Kind::kData) data += run.pfns.count.value();
    tables += run.table_level > 0;
    pinned += run.pinned;
  }
  return Told(next, [&](Pfn at) {
    return absl::StrFormat("to 0x%x, zero %d, data %d, tables %d, pinned %d",
                           at.value(), zeros, data, tables, pinned);
  });
}

}  // namespace matrix_internal

inline MatrixOperations LifeOperations() {
  using namespace matrix_internal;  // NOLINT(google-build-using-namespace)
  return {
      {"info", Info},
      {"pause", [](Scene& s) { return ToldState(calls::Pause(*s.guest)); }},
      {"unpause", [](Scene& s) { return ToldState(calls::Unpause(*s.guest)); }},
      {"unpause, stopped",
       [](Scene& s) { return ToldState(calls::Unpause(*s.guest, StopNow)); }},
      {"unpause, find the p2m list",
       [](Scene& s) {
         return Joined({ToldState(calls::Unpause(*s.guest)), FindList(s)});
       }},
      {"unpause, run out the driver's timer",
       [](Scene& s) {
         return Joined(
             {ToldState(calls::Unpause(*s.guest)),
              Told(calls::WakeBalloon(*s.guest, calls::TimerOf(*s.guest)))});
       }},
      {"begin destroy", BeginDestroy},
      {"destroy", Destroy},
      {"destroy by id",
       [](Scene& s) {
         return ToldFreed(calls::DestroyBy(*s.host, s.guest->id()));
       }},
      {"destroy by name",
       [](Scene& s) {
         return ToldFreed(calls::DestroyBy(*s.host, std::string("guest")));
       }},
      {"destroy twice",
       [](Scene& s) {
         return Joined({Destroy(s), Destroy(s)});
       }},
      {"destroy the other",
       [](Scene& s) { return ToldFreed(calls::Destroy(*s.host, s.other)); }},
  };
}

// Finding, naming, creating: what the host knows of the domain.
inline MatrixOperations HostOperations() {
  using namespace matrix_internal;  // NOLINT(google-build-using-namespace)
  return {
      {"list domains", List},
      {"find by id",
       [](Scene& s) { return ToldFound(calls::Find(*s.host, s.guest->id())); }},
      {"find by name",
       [](Scene& s) {
         return ToldFound(calls::Find(*s.host, std::string("guest")));
       }},
      {"find by uuid",
       [](Scene& s) {
         return ToldFound(calls::Find(*s.host, s.guest->Info().uuid));
       }},
      {"find what is not dom0",
       [](Scene& s) {
         return ToldFound(calls::FindGuest(*s.host, s.guest->id()));
       }},
      {"rename",
       [](Scene& s) {
         return ToldFound(calls::Rename(*s.host, s.guest->id(), "renamed"));
       }},
      {"rename to its own name",
       [](Scene& s) {
         return ToldFound(calls::Rename(*s.host, s.guest->id(), "guest"));
       }},
      {"rename to the other's name",
       [](Scene& s) {
         return ToldFound(calls::Rename(*s.host, s.guest->id(), "other"));
       }},
      {"rename to nothing",
       [](Scene& s) {
         return ToldFound(calls::Rename(*s.host, s.guest->id(), ""));
       }},
      {"create another", [](Scene& s) { return CreateLike(s, false, false); }},
      {"create one of its name",
       [](Scene& s) { return CreateLike(s, true, false); }},
      {"create one of its uuid",
       [](Scene& s) { return CreateLike(s, false, true); }},
      {"create one with the PCI device", CreateWithPci},
      {"create another, stopped",
       [](Scene& s) {
         return ToldFound(
             calls::Create(*s.host, MakeSpec("third", 300), false, StopNow));
       }},
      {"create another, too large",
       [](Scene& s) {
         return ToldFound(
             calls::Create(*s.host, MakeSpec("third", 1000000), false));
       }},
      {"audit, stopped",
       [](Scene& s) { return Told(calls::AuditUntil(*s.host, StopNow)); }},
  };
}

inline MatrixOperations TravelOperations() {
  using namespace matrix_internal;  // NOLINT(google-build-using-namespace)
  const auto suspend = [](SuspendFor purpose) {
    return
        [=](Scene& s) { return ToldRecord(calls::Suspend(*s.guest, purpose)); };
  };
  return {
      {"start log-dirty", StartLogDirty},
      {"clean log-dirty", CleanLogDirty},
      {"clean log-dirty twice",
       [](Scene& s) {
         return Joined({CleanLogDirty(s), CleanLogDirty(s)});
       }},
      {"peek log-dirty",
       [](Scene& s) {
         return Told(absl::OkStatus(), TextOf(calls::PeekLogDirty(*s.guest)));
       }},
      {"stop log-dirty", StopLogDirty},
      {"stop log-dirty, start it",
       [](Scene& s) {
         return Joined({StopLogDirty(s), StartLogDirty(s)});
       }},
      {"suspend for a save", suspend(SuspendFor::kSave)},
      {"suspend for a migration", suspend(SuspendFor::kMigration)},
      {"suspend, stopped",
       [](Scene& s) {
         return ToldRecord(
             calls::Suspend(*s.guest, SuspendFor::kSave, StopNow));
       }},
      {"resume its suspension",
       [](Scene& s) { return Resume(s, s.suspension, false); }},
      {"resume its suspension, paused",
       [](Scene& s) { return Resume(s, s.suspension, true); }},
      {"resume its suspension, stopped",
       [](Scene& s) { return Resume(s, s.suspension, false, StopNow); }},
      {"resume another suspension",
       [](Scene& s) { return Resume(s, s.suspension + 1, false); }},
      {"resume twice",
       [](Scene& s) {
         return Joined(
             {Resume(s, s.suspension, false), Resume(s, s.suspension, true)});
       }},
      {"resume, find the p2m list",
       [](Scene& s) {
         return Joined({Resume(s, s.suspension, false), FindList(s)});
       }},
      {"resume, suspend again",
       [=](Scene& s) {
         return Joined({Resume(s, s.suspension, false),
                        suspend(SuspendFor::kMigration)(s)});
       }},
      {"begin handover", BeginHandover},
      {"end handover", EndHandover},
      {"end handover, destroy",
       [](Scene& s) {
         return Joined({EndHandover(s), Destroy(s)});
       }},
      {"begin handover, destroy",
       [](Scene& s) {
         return Joined({BeginHandover(s), Destroy(s)});
       }},
      {"begin destroy, begin handover",
       [](Scene& s) {
         return Joined({BeginDestroy(s), BeginHandover(s)});
       }},
      {"start log-dirty, change this and that", ChangeAndClean},
      {"read for an image", ReadForImage},
  };
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_LIFE_OPERATIONS_H_
