#include "domain/frames/frame_pool.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/units/size_text.h"

namespace simvisor {

FrameClaim::FrameClaim(FrameClaim&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      remaining_(std::exchange(other.remaining_, PageCount(0))),
      reach_(other.reach_) {}

FrameClaim& FrameClaim::operator=(FrameClaim&& other) noexcept {
  // The rest of the old claim is given up with `given_up`.
  FrameClaim given_up(std::move(other));
  std::swap(pool_, given_up.pool_);
  std::swap(remaining_, given_up.remaining_);
  std::swap(reach_, given_up.reach_);
  return *this;
}

FrameClaim::~FrameClaim() {
  if (pool_ != nullptr) pool_->Unclaim(*this);
}

namespace {

// Physical addresses have 52 bits, so no machine has frames from here on.
constexpr Mfn kEndMfn(uint64_t{1} << (52 - kPageShift));

absl::Status CheckRam(const std::vector<MfnExtent>& ram) {
  if (ram.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     Reason::kMemorySizeInvalid,
                     "a machine without RAM: its memory map must have some");
  }
  Mfn end;
  for (const MfnExtent& extent : ram) {
    if (extent.empty() || extent.first < end ||
        !FitsWithin(extent.first, extent.count, kEndMfn)) {
      return MakeError(
          absl::StatusCode::kInvalidArgument, Reason::kE820Malformed,
          absl::StrFormat("RAM of %d frames at mfn 0x%x after mfn 0x%x: "
                          "extents must ascend, not be empty, and end below "
                          "mfn 0x%x",
                          extent.count.value(), extent.first.value(),
                          end.value(), kEndMfn.value()),
          {{fact::kValue, Hex(extent.first.value())},
           {fact::kLimit, Hex(kEndMfn.value())}});
    }
    end = extent.end();
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<FramePool>> FramePool::Create(
    const std::vector<MfnExtent>& ram, Mfn reserved_below, Placement placement,
    uint64_t seed, Mfn low_end, AllocationFaults* faults,
    PageCount contents_limit) {
  SIMVISOR_RETURN_IF_ERROR(CheckRam(ram));
  SIMVISOR_ASSIGN_OR_RETURN(
      FrameTable table,
      FrameTable::Create(ram, reserved_below, low_end, faults));
  std::optional<ScatterPlaces> places;
  if (placement == Placement::kScatter) places.emplace(ram, seed);
  return std::unique_ptr<FramePool>(new FramePool(
      std::move(table), std::move(places), faults, contents_limit));
}

FramePool::FramePool(FrameTable table, std::optional<ScatterPlaces> places,
                     AllocationFaults* faults, PageCount contents_limit)
    : faults_(faults),
      store_(std::make_shared<PageStore>(contents_limit, faults)),
      max_mfn_(table.max_mfn()),
      low_end_(table.low_end()),
      total_(table.counts().total),
      reserved_(table.counts().reserved),
      free_(table.counts().free.value()),
      visible_low_(table.free_low().value()),
      table_(std::move(table)),
      foreign_(store_),
      places_(std::move(places)) {}

FramePool::Counts FramePool::counts() const {
  const PageCount free(free_.load(std::memory_order_acquire));
  const PageCount claimed(visible_claims_.load(std::memory_order_acquire));
  return {total_, free, total_ - reserved_ - free, reserved_, claimed};
}

PageCount FramePool::available(FrameReach reach) const {
  const Counts now = counts();
  // The two numbers may be of different moments.
  const PageCount all = now.free - std::min(now.free, now.claimed);
  const PageCount low(visible_low_.load(std::memory_order_acquire));
  return reach == FrameReach::kAll ? all : std::min(all, low);
}

void FramePool::PublishCounts() {
  free_.store(table_.counts().free.value(), std::memory_order_release);
  visible_claims_.store(claimed_.value(), std::memory_order_release);
  visible_low_.store((table_.free_low() - claimed_low_).value(),
                     std::memory_order_release);
  visible_held_.store(foreign_.held().value(), std::memory_order_release);
}

absl::StatusOr<FrameClaim> FramePool::Claim(PageCount pages, FrameReach reach) {
  absl::MutexLock lock(&mu_);
  const PageCount unclaimed = Unclaimed(reach);
  const bool fault =
      faults_ != nullptr && faults_->FailNow(AllocationSite::kFrame);
  if (!fault && pages <= unclaimed) return AddClaim(pages, reach);
  PageCount most = total_;
  std::string message = absl::StrFormat(
      "claim of %s: of the host's %s, %s are free and unclaimed; balloon a "
      "domain down, or ask for less",
      SizeText(pages), SizeText(total_), SizeText(unclaimed));
  if (reach == FrameReach::kLow && low_end_ < max_mfn_) {
    most = std::min(total_, low_end_ - Mfn(0));
    message = absl::StrFormat(
        "claim of %s: of the frames below %.4g GiB (mfn 0x%x), which a 32-bit "
        "guest can reach, %s are free and unclaimed, of all frames %s; balloon "
        "down or destroy a domain that has low frames",
        SizeText(pages), static_cast<double>(low_end_.value()) / kPagesPerGiB,
        low_end_.value(), SizeText(unclaimed),
        SizeText(Unclaimed(FrameReach::kAll)));
  }
  return MakeError(absl::StatusCode::kResourceExhausted,
                   Reason::kHostMemoryExhausted, message,
                   {{fact::kRequested, pages.value()},
                    {fact::kAvailable, unclaimed.value()},
                    {fact::kLimit, most.value()},
                    {fact::kUnit, "pages"}});
}

absl::Status FramePool::Extend(FrameClaim& claim, PageCount pages,
                               FrameReach reach) {
  absl::StatusOr<FrameClaim> more = Claim(pages, reach);
  if (!more.ok()) return more.status();
  if (claim.pool_ == nullptr) {
    claim = *std::move(more);
    return absl::OkStatus();
  }
  assert(claim.pool_ == this && claim.reach_ == reach);
  claim.remaining_ += std::exchange(more->remaining_, PageCount(0));
  return absl::OkStatus();
}

FrameClaim FramePool::ClaimUpTo(PageCount pages, FrameReach reach) {
  absl::MutexLock lock(&mu_);
  return AddClaim(Granted(std::min(pages, Unclaimed(reach))), reach);
}

PageCount FramePool::Granted(PageCount pages) const {
  if (faults_ == nullptr || !faults_->MayFail(AllocationSite::kFrame)) {
    return pages;
  }
  PageCount granted;
  while (granted < pages && !faults_->FailNow(AllocationSite::kFrame)) {
    granted += PageCount(1);
  }
  return granted;
}

PageCount FramePool::Populate(FrameClaim& claim, DomainId owner, PfnExtent pfns,
                              VisitFrames visit) {
  assert(pfns.empty() || claim.pool_ == this);
  assert(pfns.count <= claim.remaining_);
  // As many as fit into the processor's first-level cache.
  constexpr size_t kAtOnce = 512;
  std::vector<MfnExtent> taken;
  absl::MutexLock lock(&mu_);
  PageCount done;
  Pfn first = pfns.first;  // the first pfn not yet reported
  for (size_t extents = 0; extents < kMaxExtents && done < pfns.count;) {
    const size_t before = taken.size();
    while (taken.size() < kAtOnce && done < pfns.count) {
      done +=
          TakeFrames(NextWindow(claim.reach_, pfns.count - done),
                     kAtOnce - taken.size(), owner, pfns.first + done, taken);
    }
    extents += taken.size() - before;
    // The next extent may continue the last one.
    const MfnExtent last = taken.back();
    taken.pop_back();
    visit(first, taken);
    first = pfns.first + (done - last.count);
    taken.assign(1, last);
  }
  if (!taken.empty()) visit(first, taken);
  claim.remaining_ -= done;
  SubtractClaim(done, claim.reach_);
  return done;
}

PageCount FramePool::Free(absl::Span<const MfnExtent> extents,
                          TakeContent content) {
  PageCount freed;
  MfnExtent frames;
  for (auto next = extents.begin(); next != extents.end() || !frames.empty();) {
    absl::MutexLock lock(&mu_);
    if (frames.empty() && foreign_.refs().empty()) {
      const auto rest = extents.subspan(next - extents.begin());
      table_.Free(rest);
      for (const MfnExtent& extent : rest) freed += extent.count;
      PublishCounts();
      return freed;
    }
    int holds = kMaxHeld;
    while (holds > 0 && (next != extents.end() || !frames.empty())) {
      if (frames.empty()) frames = *next++;
      freed += FreeUnmapped(frames, content, &holds);
    }
    PublishCounts();
  }
  return freed;
}

PageCount FramePool::FreeUnmapped(MfnExtent& frames, TakeContent content,
                                  int* holds) {
  PageCount freed;
  while (!frames.empty() && *holds > 0) {
    const Mfn mapped = foreign_.FirstIn(frames);
    const MfnExtent before =
        mapped.is_none() ? frames : ExtentBetween(frames.first, mapped);
    table_.Free(before);
    freed += before.count;
    frames = ExtentBetween(before.end(), frames.end());
    if (mapped.is_none()) break;
    const MfnExtent frame = {mapped, PageCount(1)};
    const FrameRun run = table_.RunAt(mapped, frame.end());
    foreign_.Hold(mapped, run.owner, content(mapped, run.first_pfn));
    PublishHeld(run.owner);
    table_.SetPfns(frame, Pfn::None());
    frames = ExtentBetween(frame.end(), frames.end());
    --*holds;
  }
  return freed;
}

void FramePool::SetPfns(MfnExtent frames, Pfn first_pfn) {
  absl::MutexLock lock(&mu_);
  table_.SetPfns(frames, first_pfn);
}

FrameRun FramePool::Lookup(Mfn mfn) const {
  FrameRun run;
  run.frames = {mfn, PageCount(1)};
  if (mfn >= max_mfn_) return run;
  absl::ReaderMutexLock lock(&mu_);
  return table_.RunAt(mfn, run.frames.end());
}

Mfn FramePool::ListRuns(MfnExtent frames, size_t max_runs,
                        std::vector<FrameRun>& runs) const {
  assert(frames.end() <= max_mfn_);
  absl::ReaderMutexLock lock(&mu_);
  Mfn next = frames.first;
  for (size_t i = 0; i < max_runs && next < frames.end(); ++i) {
    runs.push_back(table_.RunAt(next, frames.end()));
    next = runs.back().frames.end();
  }
  return next;
}

absl::Status FramePool::CheckInvariants() const {
  absl::ReaderMutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(CheckHeld());
  if (claimed_ > table_.counts().free) {
    return MakeError(
        absl::StatusCode::kInternal, Reason::kInternal,
        absl::StrFormat("frame pool: %d frames are claimed, but %d are free",
                        claimed_.value(), table_.counts().free.value()));
  }
  if (claimed_low_ > claimed_ || claimed_low_ > table_.free_low()) {
    return MakeError(
        absl::StatusCode::kInternal, Reason::kInternal,
        absl::StrFormat("frame pool: %d frames are claimed, %d of them below "
                        "mfn 0x%x, but %d are free there",
                        claimed_.value(), claimed_low_.value(),
                        low_end_.value(), table_.free_low().value()));
  }
  return table_.CheckInvariants();
}

void FramePool::Unclaim(const FrameClaim& claim) {
  absl::MutexLock lock(&mu_);
  SubtractClaim(claim.remaining_, claim.reach_);
}

FrameClaim FramePool::AddClaim(PageCount pages, FrameReach reach) {
  claimed_ += pages;
  if (reach == FrameReach::kLow) claimed_low_ += pages;
  PublishCounts();
  return FrameClaim(this, pages, reach);
}

void FramePool::SubtractClaim(PageCount pages, FrameReach reach) {
  claimed_ -= pages;
  if (reach == FrameReach::kLow) claimed_low_ -= pages;
  PublishCounts();
}

PageCount FramePool::Unclaimed(FrameReach reach) const {
  const PageCount all = table_.counts().free - claimed_;
  return reach == FrameReach::kAll
             ? all
             : std::min(all, table_.free_low() - claimed_low_);
}

FramePool::Window FramePool::NextWindow(FrameReach reach,
                                        PageCount most) const {
  if (reach == FrameReach::kLow) return {Mfn(0), low_end_, most};
  if (claimed_low_ == PageCount(0)) return {Mfn(0), max_mfn_, most};
  const PageCount spare = table_.free_low() - claimed_low_;
  if (spare == PageCount(0)) return {low_end_, max_mfn_, most};
  // Frames drawn at random may be high ones.
  if (places_.has_value()) return {Mfn(0), max_mfn_, PageCount(1)};
  // Stop in the low frames before those that are promised.
  return {Mfn(0), low_end_, std::min(most, spare)};
}

PageCount FramePool::TakeFrames(const Window& window, size_t max_extents,
                                DomainId owner, Pfn first_pfn,
                                std::vector<MfnExtent>& taken) {
  if (!places_.has_value()) {
    return table_.TakeNext(window.first, window.end, window.most, max_extents,
                           owner, first_pfn, taken);
  }
  constexpr size_t kAtOnce = 32;
  const size_t count =
      std::min<uint64_t>({window.most.value(), max_extents, kAtOnce});
  const auto places = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return places_->Next(window.first, window.end);
  };
  table_.TakeScattered(places, window.first, window.end, count, owner,
                       first_pfn, taken);
  return PageCount(count);
}

}  // namespace simvisor
