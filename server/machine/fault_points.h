// The places at which a fault can be put on purpose.
//
// A point stands for a moment inside an operation, such as "the guest is
// suspended and nothing has been sent".  Whoever wants to see what becomes of
// an operation that fails, hangs or dies at that moment adds a rule for the
// point (server/machine/fault_injector.h).
//
// The points of allocation stand for the sites of AllocationFaults.  They are
// asked under locks, and for no domain in particular: nothing can wait there,
// and nothing can be matched by name.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_MACHINE_FAULT_POINTS_H_
#define SIMVISOR_SERVER_MACHINE_FAULT_POINTS_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/allocation_faults.h"

namespace simvisor::server {

// Names are those of FaultPointName(): kSaveBegin is "save.begin".  Numbers
// count from 0, without gaps, in the order of AllFaultPoints().
enum class FaultPoint {
  kCreateBegin,
  kCreateBuilt,
  kBalloonBegin,
  kBalloonMoved,
  kSaveBegin,
  kSaveSuspended,
  kSavePiece,
  kSaveStored,
  kRestoreBegin,
  kRestorePiece,
  kRestoreArrived,
  kMigrateBegin,
  kMigrateAdmitted,
  kMigratePass,
  kMigratePiece,
  kMigrateSuspended,
  kMigrateSent,
  kMigratePrepared,
  kMigrateCommit,
  kMigrateCommitted,
  kMigrateDone,
  kReceiveBegin,
  kReceiveAdmitted,
  kReceivePiece,
  kReceiveArrived,
  kReceivePrepared,
  kReceiveCommit,
  kReceiveCommitted,
  kReceiveDone,
  kFrameAllocate,
  kGuestPageAllocate,
  kAddressSpaceReserve,
  kContentsAllocate,
};

// What may be done at a point.
enum class FaultPointKind {
  // A call reaches it on behalf of one domain, and holds no lock: it may fail
  // with any code, wait, or end the daemon.
  kCall,
  // An allocation: it may fail as if nothing were left, or end the daemon.
  kAllocation,
};

struct FaultPointInfo {
  FaultPoint point;
  FaultPointKind kind;
  absl::string_view name;
  // One sentence for people, without a full stop: the moment, and what an
  // error there leaves behind.
  absl::string_view description;
};

// Every point, in the order of its number.
absl::Span<const FaultPointInfo> AllFaultPoints();

const FaultPointInfo& InfoOf(FaultPoint point);
absl::string_view FaultPointName(FaultPoint point);

// The point of this name; nullopt if there is none.
std::optional<FaultPoint> ParseFaultPoint(absl::string_view name);

FaultPoint PointOf(AllocationSite site);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_FAULT_POINTS_H_
