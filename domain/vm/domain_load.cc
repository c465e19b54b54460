#include "domain/vm/domain_load.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/units/size_text.h"
#include "domain/vm/domain.h"

namespace simvisor {
namespace {

// Writes done, or pages checked, before the domain's lock is released.
constexpr uint64_t kBatch = 256;
// Writes that a check follows between two calls of its StopCheck.
constexpr uint64_t kFollowed = uint64_t{1} << 18;

absl::Status LoadNotFound(const Context& context) {
  return context.Refuse(absl::StatusCode::kFailedPrecondition,
                        Reason::kGuestLoadNotFound, "",
                        "its guest runs none; start one");
}

absl::Status LoadTooLarge(const Context& context, PageCount wanted,
                          PageCount had) {
  return context.Refuse(
      absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted, "",
      absl::StrFormat(
          "it takes %s and the guest has %s free; balloon it up, or "
          "choose a smaller working set",
          SizeText(wanted), SizeText(had)),
      {{fact::kRequested, wanted.value()},
       {fact::kAvailable, had.value()},
       {fact::kUnit, "pages"}});
}

// Null if there is none.
std::shared_ptr<const GuestLoad> LoadOf(const Parts& on) {
  return on.guest() == nullptr ? nullptr : on.guest()->load();
}

LoadReport ReportOn(const GuestLoad& load, const Life& life) {
  return {load.spec(), load.writes(),
          life.runs() && load.writes() < GuestLoad::kMaxWrites};
}

absl::Status CheckSpec(const Context& context, const LoadSpec& spec) {
  if (spec.pages_per_second > 0 &&
      spec.pages_per_second <= LoadSpec::kMaxPagesPerSecond &&
      spec.working_set > PageCount(0) &&
      spec.working_set <= LoadSpec::kMaxWorkingSet) {
    return absl::OkStatus();
  }
  return context.Refuse(
      absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
      absl::StrFormat("of %d pages per second on %d pages",
                      spec.pages_per_second, spec.working_set.value()),
      absl::StrFormat("name 1 to %d per second, and 1 to %d pages",
                      LoadSpec::kMaxPagesPerSecond,
                      LoadSpec::kMaxWorkingSet.value()),
      {{fact::kRequested, spec.working_set.value()},
       {fact::kLimit, LoadSpec::kMaxWorkingSet.value()},
       {fact::kUnit, "pages"}});
}

absl::Status CheckCanStart(const Context& context, const LoadSpec& spec,
                           const Guest& guest) {
  if (guest.load() != nullptr) {
    return context.Refuse(
        absl::StatusCode::kFailedPrecondition, Reason::kGuestLoadRunning, "",
        absl::StrFormat(
            "its guest has one already, of %d pages; stop that first "
            "(guest load --stop)",
            guest.load()->spec().working_set.value()));
  }
  SIMVISOR_RETURN_IF_ERROR(CheckSpec(context, spec));
  const PageCount free = guest.free_pages().count();
  return spec.working_set > free ? LoadTooLarge(context, spec.working_set, free)
                                 : absl::OkStatus();
}

void Free(const PfnSet& pages, FreePages& free) {
  for (const auto& [first, end] : pages.extents()) {
    free.Return(ExtentBetween(first, end));
  }
}

// Takes the pages of a load, or none.
absl::StatusOr<PfnSet> TakePages(const Context& context, PageCount count,
                                 FreePages& free) {
  PfnSet pages;
  while (pages.size() < count) {
    const PfnExtent taken = free.Take(count - pages.size());
    if (taken.empty()) {
      Free(pages, free);
      return LoadTooLarge(context, count, pages.size());
    }
    pages.Add(taken);
  }
  return pages;
}

// Does writes from number `done` on, up to `end`.
absl::Status WriteUpTo(ChangeScope& change, GuestLoad& load, uint64_t end,
                       uint64_t& done, std::vector<PagePtr>& spare) {
  GuestMemory& memory = change.parts().memory;
  const Context& context = change.context();
  Page page;
  for (; done < end; ++done) {
    if (spare.empty() && !memory.IsWritten(load.NextPage())) {
      const absl::Status taken = change.pool().store()->Take(1, spare);
      if (!taken.ok()) return context.Within(taken);
    }
    const Pfn pfn = load.NextWrite(page);
    memory.Write(pfn, 0, absl::string_view(page.data(), page.size()), spare);
  }
  return absl::OkStatus();
}

// Compares the next pages with what they must hold.
void CheckBatch(const GuestLoad& load, const GuestMemory& memory,
                const LastWrites& last, LoadCheck& check) {
  const PageCount end =
      std::min(check.checked + PageCount(kBatch), load.spec().working_set);
  Page page, expected;
  for (; check.checked < end; check.checked += PageCount(1)) {
    const uint64_t index = check.checked.value();
    const Pfn pfn = load.PageAt(index);
    last.Expect(index, expected);
    memory.Read(pfn, 0, absl::MakeSpan(page));
    if (page == expected) continue;
    if (check.mismatches == PageCount(0)) check.first_bad = pfn;
    check.mismatches += PageCount(1);
  }
}

}  // namespace

absl::StatusOr<LoadReport> DomainLoad::Start(const Operation& operation,
                                             const LoadSpec& wanted) const {
  return domain_.Change(
      operation, Needs::kCanStartLoad,
      [&](ChangeScope& change) -> absl::StatusOr<LoadReport> {
        Guest& guest = *change.parts().guest();
        const LoadSpec spec = wanted.FitTo(guest.free_pages().count());
        SIMVISOR_RETURN_IF_ERROR(CheckCanStart(change.context(), spec, guest));
        SIMVISOR_ASSIGN_OR_RETURN(
            PfnSet pages,
            TakePages(change.context(), spec.working_set, guest.free_pages()));
        // A kernel gives out zeroed pages.
        change.parts().memory.Zero(pages);
        guest.SetLoad(std::make_shared<GuestLoad>(spec, std::move(pages)));
        return LoadReport{spec, 0, true};
      });
}

absl::StatusOr<uint64_t> DomainLoad::Run(const Operation& operation,
                                         uint64_t writes) const {
  std::vector<PagePtr> spare;
  uint64_t done = 0;
  bool runs = true;
  while (done < writes && runs) {
    SIMVISOR_RETURN_IF_ERROR(operation.stop());
    SIMVISOR_RETURN_IF_ERROR(domain_.Change(
        operation, Needs::kAlive, [&](ChangeScope& change) -> absl::Status {
          change.ShowNothing();
          Parts& on = change.parts();
          if (LoadOf(on) == nullptr) return LoadNotFound(change.context());
          GuestLoad& load = *on.guest()->load();
          runs = ReportOn(load, on.life).running;
          if (!runs) return absl::OkStatus();
          const uint64_t some = std::min(
              {kBatch, writes - done, GuestLoad::kMaxWrites - load.writes()});
          return WriteUpTo(change, load, done + some, done, spare);
        }));
  }
  return done;
}

absl::StatusOr<LoadReport> DomainLoad::Stop(const Operation& operation) const {
  return domain_.Change(
      operation, Needs::kNotSuspended,
      [](ChangeScope& change) -> absl::StatusOr<LoadReport> {
        Parts& on = change.parts();
        const std::shared_ptr<const GuestLoad> load = LoadOf(on);
        if (load == nullptr) return LoadNotFound(change.context());
        on.memory.Zero(load->pages());
        Free(load->pages(), on.guest()->free_pages());
        on.guest()->SetLoad(nullptr);
        return LoadReport{load->spec(), load->writes(), false};
      });
}

absl::StatusOr<LoadReport> DomainLoad::Find() const {
  return domain_.Look("find its load", Needs::kAlive,
                      [](const Parts& on,
                         const Context& context) -> absl::StatusOr<LoadReport> {
                        const std::shared_ptr<const GuestLoad> load =
                            LoadOf(on);
                        if (load == nullptr) return LoadNotFound(context);
                        return ReportOn(*load, on.life);
                      });
}

absl::StatusOr<LoadReport> DomainLoad::ListPages(
    uint64_t first, size_t most, std::vector<PfnExtent>& extents) const {
  return domain_.Look(
      "list the pages of its load", Needs::kAlive,
      [&](const Parts& on,
          const Context& context) -> absl::StatusOr<LoadReport> {
        const std::shared_ptr<const GuestLoad> load = LoadOf(on);
        if (load == nullptr) return LoadNotFound(context);
        extents = load->PagesFrom(first, most);
        return ReportOn(*load, on.life);
      });
}

absl::StatusOr<LoadCheck> DomainLoad::Check(const Operation& operation) const {
  using Load = std::shared_ptr<const GuestLoad>;
  SIMVISOR_ASSIGN_OR_RETURN(
      const Load checked,
      domain_.Look(
          operation.name, Needs::kAlive,
          [](const Parts& on, const Context& context) -> absl::StatusOr<Load> {
            Load load = LoadOf(on);
            if (load == nullptr) return LoadNotFound(context);
            return load;
          }));
  // Allocates eight bytes for each page, so not under the lock.
  LastWrites last(checked->spec());
  LoadCheck check;
  while (true) {
    uint64_t writes = 0;
    SIMVISOR_RETURN_IF_ERROR(domain_.Look(
        operation.name, Needs::kAlive,
        [&](const Parts& on, const Context& context) -> absl::Status {
          const Load load = LoadOf(on);
          if (load == nullptr) return LoadNotFound(context);
          if (load != checked) {
            return LoadNotFound(context.As("go on checking its load"));
          }
          check.load = ReportOn(*load, on.life);
          writes = load->writes();
          if (last.Follow(writes, kFollowed)) {
            CheckBatch(*load, on.memory, last, check);
          }
          return absl::OkStatus();
        }));
    if (check.checked == checked->spec().working_set) return check;
    // Many writes are followed without the lock, and the few since then under
    // it.
    do {
      SIMVISOR_RETURN_IF_ERROR(operation.stop());
    } while (!last.Follow(writes, kFollowed));
  }
}

}  // namespace simvisor
