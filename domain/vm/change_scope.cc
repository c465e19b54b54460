#include "domain/vm/change_scope.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/status/statusor.h"
#include "domain/vm/domain.h"

namespace simvisor {

FrameReach ReachOf(const Abi& abi) {
  return abi.arch == Arch::kX86_32Pae ? FrameReach::kLow : FrameReach::kAll;
}

ChangeScope::ChangeScope(Domain& domain, Parts& parts, FramePool& pool,
                         const Context& context, const Operation& operation,
                         Needs needs)
    : domain_(domain),
      parts_(parts),
      pool_(pool),
      context_(context),
      operation_(operation),
      waits_(domain, context, operation, needs) {}

ChangeScope::~ChangeScope() {
  if (shows_) Show();
}

DomainMemory ChangeScope::Memory() const {
  return domain_.MemoryDuring(parts_, own_claim_.remaining());
}

void ChangeScope::Show() {
  populated_ = false;
  domain_.Show(parts_);
}

absl::Status ChangeScope::ClaimFrames(PageCount pages) {
  assert(claim_ == &own_claim_);
  own_claim_ = FrameClaim();
  absl::StatusOr<FrameClaim> claim = pool_.Claim(pages, ReachOf(domain_.abi()));
  if (!claim.ok()) return claim.status();
  own_claim_ = *std::move(claim);
  return absl::OkStatus();
}

void ChangeScope::ClaimFramesUpTo(PageCount pages) {
  assert(claim_ == &own_claim_);
  own_claim_ = FrameClaim();
  own_claim_ = pool_.ClaimUpTo(pages, ReachOf(domain_.abi()));
}

PageCount ChangeScope::PopulatePhysmap(PfnExtent pfns, Placed placed) {
  pfns.count = std::min(pfns.count, claim_->remaining());
  const PageCount done = pool_.Populate(*claim_, context_.id(), pfns, placed);
  parts_.reservation.Gained(done);
  populated_ = true;
  return done;
}

PageCount ChangeScope::DecreaseReservation(absl::Span<const MfnExtent> frames) {
  if (frames.empty()) return PageCount(0);
  GuestMemory& memory = parts_.memory;
  const PageCount freed = pool_.Free(frames, [&memory](Mfn mfn, Pfn pfn) {
    return memory.TakeContent(mfn, pfn);
  });
  memory.Drop(frames);
  PageCount lost;
  for (const MfnExtent& extent : frames) lost += extent.count;
  parts_.reservation.Lost(lost);
  Show();
  return freed;
}

void ChangeScope::MachphysUpdate(MfnExtent frames, Pfn first) {
  pool_.SetPfns(frames, first);
  MfnSet& unplaced = parts_.memory.unplaced();
  if (first.is_none()) {
    unplaced.Add(frames);
  } else {
    unplaced.Remove(frames);
  }
}

absl::Status ChangeScope::MapForeign(Mfn mfn) {
  return pool_.MapForeign(mfn, context_.id());
}

absl::Status ChangeScope::CheckForeign(Mfn mfn) const {
  return pool_.CheckForeign(mfn, context_.id());
}

PageCount ChangeScope::UnmapForeign(absl::Span<const Mfn> mfns) {
  return pool_.UnmapForeign(mfns, &drained_);
}

absl::Status ChangeScope::Preempted() {
  if (populated_) Show();
  return operation_.stop();
}

}  // namespace simvisor
