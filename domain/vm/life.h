// The life of a domain: whether its guest runs, is suspended or is between two
// hosts, and how the domain ends.
//
// BUILT (frames and the builder's list, guest not run) -> RUNNING <-> PAUSED ->
// DYING.  A suspended guest is paused, for as long as it is saved or moved;
// suspensions are numbered, so that a caller ends only the suspension that it
// means.  While a guest is between two hosts (Handover) its domain cannot be
// destroyed, and once its end has begun no handover can begin.
//
// Only Check() says what may be done in which state.  It knows neither frames
// nor the guest; operations check these themselves.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.  LifeEnd
// may be read from any thread.

#ifndef SIMVISOR_DOMAIN_VM_LIFE_H_
#define SIMVISOR_DOMAIN_VM_LIFE_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"
#include "domain/vm/domain_types.h"

namespace simvisor {

// What an operation demands of a domain.  Each comment has the demands in the
// order in which Check() looks; the first that is not met is the refusal.
enum class Needs {
  kNothing,  // OK also if it is dying
  kAlive,
  kBooted,                 // alive, kernel ours, booted
  kNotSuspended,           // alive, not suspended
  kNotSuspendedOwnKernel,  // alive, not suspended, kernel ours
  kBootedNotSuspended,     // as kBooted, then not suspended
  kRunning,     // alive, not suspended, running: its balloon driver answers
  kCanSuspend,  // as kNotSuspendedOwnKernel, then running: its kernel suspends
  kCanStartLoad,  // the same: its kernel starts a program
};

// The end of a domain, for threads that do not hold its lock.  Both flags are
// set once, in this order.
class LifeEnd {
 public:
  // Set before the first frame goes.
  bool dying() const { return dying_.load(std::memory_order_acquire); }
  // Set when every frame has gone, except frames held for other domains.
  bool relinquished() const {
    return relinquished_.load(std::memory_order_acquire);
  }

 private:
  friend class Life;
  std::atomic<bool> dying_ = false;
  std::atomic<bool> relinquished_ = false;
};

class Life {
 public:
  // A domain that is BUILT.  `end` must outlive this object.
  explicit Life(LifeEnd& end) : end_(end) {}
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  // OK if the domain is as `needs` demands.  `held` is the number of its frames
  // that other domains map, for the message about a dying domain.
  // FAILED_PRECONDITION DOMAIN_DYING, DOMAIN_SUSPENDED, GUEST_KERNEL_UNKNOWN,
  // DOMAIN_NOT_BOOTED, DOMAIN_NOT_RUNNING.
  absl::Status Check(const Context& context, Needs needs,
                     PageCount held = PageCount(0)) const;
  // The error that Check() returns for a dying domain.
  static absl::Status DyingError(const DomainIdentity& domain,
                                 PageCount held = PageCount(0));

  DomainState state() const { return state_; }
  bool built() const { return state_ == DomainState::kBuilt; }
  bool runs() const { return state_ == DomainState::kRunning; }
  bool dying() const { return state_ == DomainState::kDying; }
  // Whether it is dying and has given everything back.
  bool relinquished() const { return end_.relinquished(); }
  // Whether it has run, here or elsewhere, and is not dying.
  bool has_run() const { return runs() || state_ == DomainState::kPaused; }
  bool suspended() const { return suspended_; }
  // The number of the present suspension.
  // REQUIRES: suspended().
  uint64_t suspension() const;
  Handover handover() const { return handover_; }

  // Notes that its kernel is foreign, and never runs here.
  void NeverRuns() { foreign_kernel_ = true; }
  // Pauses a guest that runs; returns whether it did.
  bool Pause();
  // Makes it RUNNING.
  // REQUIRES: not suspended, not dying.
  void Run();
  // Note that a guest has come from another host: it is PAUSED, and after
  // ArriveSuspended() also suspended as it left, with Handover::kIncoming.
  // REQUIRES: built(); for ArriveSuspended(), ArrivePaused() came before.
  void ArrivePaused();
  void ArriveSuspended();

  // Suspends a guest that runs, and returns the number of the suspension.
  // REQUIRES: Check() of Needs::kCanSuspend is OK.
  uint64_t Suspend();
  // Ends `suspension`, and a handover with it: PAUSED, and it has not moved.
  // Returns false and changes nothing unless `suspension` is the present one.
  bool Resume(uint64_t suspension);

  // Lets another host run the suspended guest: until Resume() or EndHandover()
  // the domain cannot be destroyed.
  // FAILED_PRECONDITION DOMAIN_DYING, also once BeginDestroy() has been called,
  // and DOMAIN_NOT_RUNNING if it is not suspended.
  absl::Status BeginHandover(const Context& context,
                             PageCount held = PageCount(0));
  // Ends it.  `moved_to` is the host that runs the guest now; empty: none does.
  void EndHandover(std::string moved_to = "") {
    handover_ = Handover::kNone;
    moved_to_ = std::move(moved_to);
  }
  const std::string& moved_to() const { return moved_to_; }

  // From now on no handover can begin.
  // FAILED_PRECONDITION DOMAIN_MIGRATING during one.
  absl::Status BeginDestroy(const Context& context);
  // DYING, and not suspended any more.
  void BeginDying();
  // REQUIRES: BeginDying() was called.
  void MarkRelinquished();

 private:
  absl::Status CheckNotSuspended(const Context& context) const;
  absl::Status CheckOwnKernel(const Context& context) const;
  absl::Status CheckBooted(const Context& context) const;
  // `cannot` says what a guest that does not run cannot do.
  absl::Status CheckRuns(const Context& context,
                         absl::string_view cannot) const;

  LifeEnd& end_;
  DomainState state_ = DomainState::kBuilt;
  bool foreign_kernel_ = false;
  bool suspended_ = false;
  bool doomed_ = false;  // about to be destroyed
  Handover handover_ = Handover::kNone;
  std::string moved_to_;
  uint64_t suspensions_ = 0;  // so far
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_LIFE_H_
