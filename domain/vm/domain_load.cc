// The load of a guest: a program in it that writes to pages of its own.

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/vm/domain.h"

namespace simvisor {
namespace {

// Writes done, and pages checked, in one go with the domain's lock.
constexpr uint64_t kBatch = 256;
// Writes that a check follows between two looks at its StopCheck.
constexpr uint64_t kFollowed = uint64_t{1} << 18;

LoadReport ReportOn(const GuestLoad& load, bool running) {
  return {load.spec(), load.writes(), running};
}

}  // namespace

absl::Status Domain::CheckCanStartLoad(const Context& context,
                                       const LoadSpec& spec) const {
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kCanStartLoad));
  if (load_ != nullptr) {
    return context.Refuse(
        absl::StatusCode::kFailedPrecondition, Reason::kGuestLoadRunning, "",
        absl::StrFormat(
            "its guest has one already, of %d pages; stop that first",
            load_->spec().working_set.value()));
  }
  if (spec.pages_per_second == 0 ||
      spec.pages_per_second > LoadSpec::kMaxPagesPerSecond ||
      spec.working_set == PageCount(0) ||
      spec.working_set > LoadSpec::kMaxWorkingSet) {
    return context.Refuse(
        absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
        absl::StrFormat("of %d pages per second on %d pages",
                        spec.pages_per_second, spec.working_set.value()),
        absl::StrFormat("name 1 to %d per second, and 1 to %d pages",
                        LoadSpec::kMaxPagesPerSecond,
                        LoadSpec::kMaxWorkingSet.value()));
  }
  if (spec.working_set > free_pages_.count()) {
    return LoadTooLarge(context, spec.working_set, free_pages_.count());
  }
  return absl::OkStatus();
}

absl::Status Domain::LoadTooLarge(const Context& context, PageCount wanted,
                                  PageCount had) const {
  return context.Refuse(
      absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted, "",
      absl::StrFormat("it takes %d pages and the guest has %d free; balloon it "
                      "up, or choose a smaller working set",
                      wanted.value(), had.value()));
}

absl::Status Domain::StartLoad(const Operation& operation,
                               const LoadSpec& spec) {
  const ChangeLock lock(this);
  const Context context(id_, operation.name);
  SIMVISOR_RETURN_IF_ERROR(CheckCanStartLoad(context, spec));
  PfnSet pages;
  while (pages.size() < spec.working_set) {
    const PfnExtent taken = free_pages_.Take(spec.working_set - pages.size());
    if (taken.empty()) {
      const PageCount had = pages.size();
      FreeLoadPages(pages);
      return LoadTooLarge(context, spec.working_set, had);
    }
    pages.Add(taken);
  }
  // A kernel gives out zeroed pages.
  ZeroPages(pages);
  load_ = std::make_shared<GuestLoad>(spec, std::move(pages));
  return absl::OkStatus();
}

void Domain::FreeLoadPages(const PfnSet& pages) {
  for (const auto& [first, end] : pages.extents()) {
    free_pages_.Return(ExtentBetween(first, end));
  }
}

absl::StatusOr<uint64_t> Domain::RunLoad(const Operation& operation,
                                         uint64_t writes) {
  const Context context(id_, operation.name);
  Page page;
  std::vector<PagePtr> spare;
  for (uint64_t done = 0; done < writes;) {
    SIMVISOR_RETURN_IF_ERROR(operation.stop());
    absl::MutexLock lock(&mu_);
    SIMVISOR_RETURN_IF_ERROR(CheckHasLoad(context));
    if (!LoadRuns()) return done;
    const uint64_t end =
        done + std::min({kBatch, writes - done,
                         GuestLoad::kMaxWrites - load_->writes()});
    for (; done < end; ++done) {
      if (spare.empty() && !HasContent(load_->NextPage())) {
        SIMVISOR_RETURN_IF_ERROR(TakeSpare(context, 1, spare));
      }
      const Pfn pfn = load_->NextWrite(page);
      WriteContent(pfn, 0, absl::string_view(page.data(), page.size()), spare);
    }
  }
  return writes;
}

absl::StatusOr<LoadReport> Domain::StopLoad(const Operation& operation) {
  const ChangeLock lock(this);
  const Context context(id_, operation.name);
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kAwake));
  SIMVISOR_RETURN_IF_ERROR(CheckHasLoad(context));
  const LoadReport report = ReportOn(*load_, false);
  ZeroPages(load_->pages());
  FreeLoadPages(load_->pages());
  load_ = nullptr;
  return report;
}

absl::StatusOr<LoadReport> Domain::FindLoad() const {
  absl::ReaderMutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(CheckHasLoad(Context(id_, "find its load")));
  return ReportOn(*load_, LoadRuns());
}

absl::StatusOr<LoadReport> Domain::ListLoadPages(
    uint64_t first, size_t most, std::vector<PfnExtent>& extents) const {
  absl::ReaderMutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(
      CheckHasLoad(Context(id_, "list the pages of its load")));
  extents = load_->PagesFrom(first, most);
  return ReportOn(*load_, LoadRuns());
}

absl::StatusOr<LoadCheck> Domain::CheckLoad(const Operation& operation) const {
  const Context context(id_, operation.name);
  std::shared_ptr<const GuestLoad> checked;
  {
    absl::ReaderMutexLock lock(&mu_);
    SIMVISOR_RETURN_IF_ERROR(CheckHasLoad(context));
    checked = load_;
  }
  // Eight bytes for each page: not under the lock.
  LastWrites last(checked->spec());
  LoadCheck check;
  while (true) {
    uint64_t writes = 0;
    {
      absl::ReaderMutexLock lock(&mu_);
      SIMVISOR_RETURN_IF_ERROR(CheckHasLoad(context));
      if (checked != load_) {
        return LoadNotFound(context.As("go on checking its load"));
      }
      check.load = ReportOn(*load_, LoadRuns());
      writes = load_->writes();
      if (last.Follow(writes, kFollowed)) CheckBatch(last, check);
      if (check.checked == load_->spec().working_set) return check;
    }
    // Many writes are followed without the lock, and the few since with it.
    do {
      SIMVISOR_RETURN_IF_ERROR(operation.stop());
    } while (!last.Follow(writes, kFollowed));
  }
}

void Domain::CheckBatch(const LastWrites& last, LoadCheck& check) const {
  const PageCount end =
      std::min(check.checked + PageCount(kBatch), load_->spec().working_set);
  Page page, expected;
  for (; check.checked < end; check.checked += PageCount(1)) {
    const uint64_t index = check.checked.value();
    const Pfn pfn = load_->PageAt(index);
    last.Expect(index, expected);
    contents_.Read(Mfn(list_->Lookup(pfn).Number()), 0, absl::MakeSpan(page));
    if (page == expected) continue;
    if (check.mismatches == PageCount(0)) check.first_bad = pfn;
    check.mismatches += PageCount(1);
  }
}

bool Domain::LoadRuns() const {
  return life_.runs() && load_->writes() < GuestLoad::kMaxWrites;
}

absl::Status Domain::CheckNoLoad(const Context& context, PfnExtent pfns) const {
  if (load_ == nullptr || !load_->Intersects(pfns)) return absl::OkStatus();
  return context.Refuse(absl::StatusCode::kFailedPrecondition,
                        Reason::kGuestLoadRunning,
                        absl::StrFormat("of [0x%x, 0x%x)", pfns.first.value(),
                                        pfns.end().value()),
                        "pages of the guest's load lie there; choose a range "
                        "without them, or stop the load");
}

absl::Status Domain::CheckHasLoad(const Context& context) const {
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kAlive));
  return load_ != nullptr ? absl::OkStatus() : LoadNotFound(context);
}

absl::Status Domain::LoadNotFound(const Context& context) const {
  return context.Refuse(absl::StatusCode::kFailedPrecondition,
                        Reason::kGuestLoadNotFound, "",
                        "its guest runs none; start one");
}

}  // namespace simvisor
