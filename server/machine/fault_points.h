// The points at which faults can be injected.
//
// A point stands for a moment inside an operation, such as "the guest is
// suspended and nothing has been sent".  To see what becomes of an operation
// that fails, hangs or dies at that moment, add a rule for the point
// (server/machine/fault_injector.h).
//
// The allocation points stand for the sites of AllocationFaults.  They are
// reached under locks, and not on behalf of a domain: rules for them cannot
// delay, and cannot match a name.
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
  kMmuRegistering,
  kMmuBegin,
  kMmuAnswered,
  kMmuChanged,
  kMmuRelease,
  kMmuFence,
  kMmuResume,
  kFrameAllocate,
  kGuestPageAllocate,
  kAddressSpaceReserve,
  kContentsAllocate,
  kSecondaryMmuAllocate,
};

// What a rule may do at a point.
enum class FaultPointKind {
  // Reached by a call on behalf of one domain, with no lock held: the call may
  // fail with any code, wait, or the daemon may die.
  kCall,
  // An allocation: it may fail as if memory had run out, or the daemon may die.
  kAllocation,
};

struct FaultPointInfo {
  FaultPoint point;
  FaultPointKind kind;
  absl::string_view name;
  // One sentence for users, without a full stop: the moment, and what an error
  // there leaves behind.
  absl::string_view description;
};

// Every point, in the order of their numbers.
absl::Span<const FaultPointInfo> AllFaultPoints();

const FaultPointInfo& InfoOf(FaultPoint point);
absl::string_view FaultPointName(FaultPoint point);

// The point with this name; nullopt if there is none.
std::optional<FaultPoint> ParseFaultPoint(absl::string_view name);

FaultPoint PointOf(AllocationSite site);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_FAULT_POINTS_H_
