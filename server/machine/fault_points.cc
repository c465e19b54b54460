#include "server/machine/fault_points.h"

#include <cstddef>
#include <iterator>

namespace simvisor::server {
namespace {

using enum FaultPoint;
using enum FaultPointKind;

constexpr FaultPointInfo kPoints[] = {
    {kCreateBegin, kCall, "create.begin",
     "CreateDomain has read its request; nothing has been built"},
    {kCreateBuilt, kCall, "create.built",
     "the new domain is there and its client has not been told; after an error "
     "it is destroyed again"},
    {kBalloonBegin, kCall, "balloon.begin",
     "BalloonDown, BalloonUp or SetMemoryTarget has found its domain; no page "
     "has moved"},
    {kBalloonMoved, kCall, "balloon.moved",
     "such a call has done its work; after an error the call fails and the "
     "pages stay moved"},
    {kSaveBegin, kCall, "save.begin",
     "SaveDomain has found its domain; the guest still runs"},
    {kSaveSuspended, kCall, "save.suspended",
     "the guest is suspended and nothing has been sent; after an error it "
     "resumes"},
    {kSavePiece, kCall, "save.piece",
     "a piece of the image is ready and is sent next, less than 3 MiB; after "
     "an error the guest resumes"},
    {kSaveStored, kCall, "save.stored",
     "the client has stored the image and the domain is still there, "
     "suspended; "
     "after an error the guest resumes, so that there are both"},
    {kRestoreBegin, kCall, "restore.begin",
     "RestoreDomain has got its options; the name is that of the options' "
     "spec, if it has one"},
    {kRestorePiece, kCall, "restore.piece",
     "a piece of the image has been taken, of the size that the client chose; "
     "the name is as at restore.begin, and an error leaves nothing behind"},
    {kRestoreArrived, kCall, "restore.arrived",
     "the domain is whole and has not gone on; after an error it is destroyed"},
    {kMigrateBegin, kCall, "migrate.begin",
     "source: MigrateDomain has found its domain; the target has heard "
     "nothing"},
    {kMigrateAdmitted, kCall, "migrate.admitted",
     "source: the target has admitted the domain; no page has been sent"},
    {kMigratePass, kCall, "migrate.pass",
     "source: a pass over the guest's pages begins while it runs"},
    {kMigratePiece, kCall, "migrate.piece",
     "source: a piece of the stream is made next, and sent with others"},
    {kMigrateSuspended, kCall, "migrate.suspended",
     "source: the guest is suspended; what it wrote last has not been sent"},
    {kMigrateSent, kCall, "migrate.sent",
     "source: all has been sent; PREPARED is awaited next"},
    {kMigratePrepared, kCall, "migrate.prepared",
     "source: PREPARED has come; COMMIT has not been sent"},
    {kMigrateCommit, kCall, "migrate.commit",
     "source: COMMIT has been sent; its answer is awaited next"},
    {kMigrateCommitted, kCall, "migrate.committed",
     "source: the target has answered that it committed; the source's copy is "
     "still there, suspended"},
    {kMigrateDone, kCall, "migrate.done",
     "source: the source's copy is gone and the client has not been told"},
    {kReceiveBegin, kCall, "receive.begin",
     "target: a domain has been announced; nothing has been checked"},
    {kReceiveAdmitted, kCall, "receive.admitted",
     "target: the domain is admitted and the source has not been told"},
    {kReceivePiece, kCall, "receive.piece",
     "target: a piece of the stream has been taken"},
    {kReceiveArrived, kCall, "receive.arrived",
     "target: the domain is whole; PREPARED has not been said"},
    {kReceivePrepared, kCall, "receive.prepared",
     "target: PREPARED has been said; COMMIT is awaited next"},
    {kReceiveCommit, kCall, "receive.commit",
     "target: COMMIT has come; nothing has been committed"},
    {kReceiveCommitted, kCall, "receive.committed",
     "target: the domain is committed and the source has not been told"},
    {kReceiveDone, kCall, "receive.done",
     "target: the source has been told that the domain is committed"},
    {kMmuRegistering, kCall, "mmu.registering",
     "a secondary MMU has its turn and no change of the domain is under way; "
     "an error leaves no subscription behind"},
    {kMmuBegin, kCall, "mmu.begin",
     "secondary MMUs have been told of a change, and no answer has been waited "
     "for; an error aborts the change"},
    {kMmuAnswered, kCall, "mmu.answered",
     "all secondary MMUs have let go and nothing has changed; an error aborts "
     "the change"},
    {kMmuChanged, kCall, "mmu.changed",
     "the change is made and secondary MMUs have not been told of its end; an "
     "error is ignored"},
    {kMmuRelease, kCall, "mmu.release",
     "the secondary MMUs of a domain that ends have been told; its frames are "
     "still there, its name is not, and an error is ignored"},
    {kMmuFence, kCall, "mmu.fence",
     "a secondary MMU is fenced next, by its lease or by an operator; a delay "
     "holds up every fence by lease, and an error is ignored"},
    {kMmuResume, kCall, "mmu.resume",
     "a secondary MMU asks to go on after its stream broke; after an error it "
     "may ask again"},
    {kFrameAllocate, kAllocation, "frame.allocate",
     "a frame of the machine is given out, or all the frames of a claim that "
     "is granted whole or not at all"},
    {kGuestPageAllocate, kAllocation, "guest-page.allocate",
     "a guest's kernel takes a page for itself or for its balloon"},
    {kAddressSpaceReserve, kAllocation, "address-space.reserve",
     "the daemon reserves address space for the words of a p2m list or of the "
     "m2p"},
    {kContentsAllocate, kAllocation, "contents.allocate",
     "the daemon takes memory for what a page holds, or for all the pages that "
     "one call writes"},
    {kSecondaryMmuAllocate, kAllocation, "secondary-mmu.allocate",
     "the daemon takes memory for a subscription of a secondary MMU"},
};

constexpr bool PointsAreInOrder() {
  for (size_t i = 0; i < std::size(kPoints); ++i) {
    if (static_cast<size_t>(kPoints[i].point) != i) return false;
  }
  return true;
}
static_assert(PointsAreInOrder(), "InfoOf() looks a point up by its number");
static_assert(std::size(kPoints) <= 64, "FaultInjector has a bit for each");

}  // namespace

absl::Span<const FaultPointInfo> AllFaultPoints() { return kPoints; }

const FaultPointInfo& InfoOf(FaultPoint point) {
  return kPoints[static_cast<size_t>(point)];
}

absl::string_view FaultPointName(FaultPoint point) {
  return InfoOf(point).name;
}

std::optional<FaultPoint> ParseFaultPoint(absl::string_view name) {
  for (const FaultPointInfo& info : kPoints) {
    if (info.name == name) return info.point;
  }
  return std::nullopt;
}

FaultPoint PointOf(AllocationSite site) {
  switch (site) {
    case AllocationSite::kGuestPage:
      return kGuestPageAllocate;
    case AllocationSite::kFrame:
      return kFrameAllocate;
    case AllocationSite::kAddressSpace:
      return kAddressSpaceReserve;
    case AllocationSite::kSecondaryMmu:
      return kSecondaryMmuAllocate;
    case AllocationSite::kContents:
      break;
  }
  return kContentsAllocate;
}

}  // namespace simvisor::server
