#include "domain/frames/frame_pool.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_format.h"
#include "domain/units/error.h"
#include "domain/units/status_macros.h"

namespace simvisor {

FrameClaim::FrameClaim(FrameClaim&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      remaining_(std::exchange(other.remaining_, PageCount(0))) {}

FrameClaim& FrameClaim::operator=(FrameClaim&& other) noexcept {
  // What this held is given up when `given_up` goes.
  FrameClaim given_up(std::move(other));
  std::swap(pool_, given_up.pool_);
  std::swap(remaining_, given_up.remaining_);
  return *this;
}

FrameClaim::~FrameClaim() {
  if (pool_ != nullptr) pool_->Unclaim(remaining_);
}

absl::StatusOr<std::unique_ptr<FramePool>> FramePool::Create(
    const std::vector<MfnExtent>& ram, Mfn reserved_below, Placement placement,
    uint64_t seed, AllocationFaults* faults) {
  SIMVISOR_ASSIGN_OR_RETURN(FrameTable table,
                            FrameTable::Create(ram, reserved_below, faults));
  std::optional<ScatterPlaces> places;
  if (placement == Placement::kScatter) places.emplace(ram, seed);
  return std::unique_ptr<FramePool>(
      new FramePool(std::move(table), std::move(places), faults));
}

FramePool::FramePool(FrameTable table, std::optional<ScatterPlaces> places,
                     AllocationFaults* faults)
    : faults_(faults),
      max_mfn_(table.max_mfn()),
      total_(table.counts().total),
      reserved_(table.counts().reserved),
      free_(table.counts().free.value()),
      table_(std::move(table)),
      places_(std::move(places)) {}

FramePool::Counts FramePool::counts() const {
  const PageCount free(free_.load(std::memory_order_acquire));
  const PageCount claimed(visible_claims_.load(std::memory_order_acquire));
  return {total_, free, total_ - reserved_ - free, reserved_, claimed};
}

void FramePool::PublishCounts() {
  free_.store(table_.counts().free.value(), std::memory_order_release);
  visible_claims_.store(claimed_.value(), std::memory_order_release);
}

absl::StatusOr<FrameClaim> FramePool::Claim(PageCount pages) {
  absl::MutexLock lock(&mu_);
  const bool fault =
      faults_ != nullptr && faults_->FailNow(AllocationSite::kFrame);
  if (fault || pages > Unclaimed()) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, Reason::kHostMemoryExhausted,
        absl::StrFormat("claim of %d frames: %d of the host's %d frames are "
                        "free and unclaimed; balloon a domain down",
                        pages.value(), Unclaimed().value(),
                        table_.counts().total.value()));
  }
  claimed_ += pages;
  PublishCounts();
  return FrameClaim(this, pages);
}

FrameClaim FramePool::ClaimUpTo(PageCount pages) {
  absl::MutexLock lock(&mu_);
  const PageCount claimed = Granted(std::min(pages, Unclaimed()));
  claimed_ += claimed;
  PublishCounts();
  return FrameClaim(this, claimed);
}

PageCount FramePool::Granted(PageCount pages) const {
  if (faults_ == nullptr) return pages;
  PageCount granted;
  while (granted < pages && !faults_->FailNow(AllocationSite::kFrame)) {
    granted += PageCount(1);
  }
  return granted;
}

PageCount FramePool::Populate(FrameClaim& claim, DomainId owner, PfnExtent pfns,
                              absl::FunctionRef<void(Pfn, MfnExtent)> visit) {
  assert(pfns.empty() || claim.pool_ == this);
  assert(pfns.count <= claim.remaining_);
  absl::MutexLock lock(&mu_);
  PageCount done;
  for (int i = 0; i < kMaxExtents && done < pfns.count; ++i) {
    const MfnExtent frames = NextFrames(pfns.count - done);
    const Pfn first = pfns.first + done;
    table_.Take(frames, owner, first);
    visit(first, frames);
    done += frames.count;
  }
  claimed_ -= done;
  claim.remaining_ -= done;
  PublishCounts();
  return done;
}

void FramePool::Free(absl::Span<const MfnExtent> extents) {
  absl::MutexLock lock(&mu_);
  for (const MfnExtent& extent : extents) table_.Free(extent);
  PublishCounts();
}

void FramePool::SetPfns(MfnExtent frames, Pfn first_pfn) {
  absl::MutexLock lock(&mu_);
  table_.SetPfns(frames, first_pfn);
}

FrameRun FramePool::Lookup(Mfn mfn) const {
  FrameRun run;
  run.frames = {mfn, PageCount(1)};
  if (mfn >= max_mfn_) return run;
  absl::MutexLock lock(&mu_);
  return table_.RunAt(mfn, run.frames.end());
}

Mfn FramePool::ListRuns(MfnExtent frames, size_t max_runs,
                        std::vector<FrameRun>& runs) const {
  absl::MutexLock lock(&mu_);
  Mfn next = frames.first;
  for (size_t i = 0; i < max_runs && next < frames.end(); ++i) {
    runs.push_back(table_.RunAt(next, frames.end()));
    next = runs.back().frames.end();
  }
  return next;
}

absl::Status FramePool::CheckInvariants() const {
  absl::MutexLock lock(&mu_);
  if (claimed_ > table_.counts().free) {
    return MakeError(
        absl::StatusCode::kInternal, Reason::kInternal,
        absl::StrFormat("frame pool: %d frames are claimed, but %d are free",
                        claimed_.value(), table_.counts().free.value()));
  }
  return table_.CheckInvariants();
}

void FramePool::Unclaim(PageCount pages) {
  absl::MutexLock lock(&mu_);
  claimed_ -= pages;
  PublishCounts();
}

PageCount FramePool::Unclaimed() const {
  return table_.counts().free - claimed_;
}

MfnExtent FramePool::NextFrames(PageCount most) {
  if (!places_.has_value()) return table_.FindFree(Mfn(0), most);
  const MfnExtent frame = table_.FindFree(places_->Next(), PageCount(1));
  return frame.empty() ? table_.FindFree(Mfn(0), PageCount(1)) : frame;
}

}  // namespace simvisor
