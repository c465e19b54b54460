// The life of a domain: whether its guest runs, is suspended or is between two
// hosts, and how the domain ends.
//
// BUILT (frames and the builder's list, guest not run) -> RUNNING <-> PAUSED ->
// DYING.  A suspended guest is paused, for as long as it is saved or moved;
// suspensions are numbered, so that the one who ends one ends no other.  While
// a guest is between two hosts (Handover) its domain cannot be destroyed, and
// once its end has begun no handover can begin.
//
// Check() is the one place that says what may be done in which state.  It knows
// no frame and no guest: what else an operation asks for is checked by others.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.  LifeEnd
// may be read from any thread.

#ifndef SIMVISOR_DOMAIN_VM_LIFE_H_
#define SIMVISOR_DOMAIN_VM_LIFE_H_

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"
#include "domain/vm/domain_types.h"

namespace simvisor {

// What a domain must be like for an operation.  Each says in which order
// Check() looks, for a domain to which more than one refusal applies.
enum class Needs {
  kNothing,  // OK also if it is dying
  kAlive,
  kBooted,          // alive, kernel ours, booted
  kAwake,           // alive, not suspended
  kAwakeOwnKernel,  // alive, not suspended, kernel ours
  kBootedAwake,     // as kBooted, then not suspended
  kRunning,         // alive, not suspended, running: its balloon driver answers
  kCanSuspend,      // as kAwakeOwnKernel, then running: its kernel suspends
  kCanStartLoad,    // the same: its kernel starts a program
};

// The end of a domain, for those who do not hold its lock.  Both are set once,
// in this order.
class LifeEnd {
 public:
  // Set before the first frame goes.
  bool dying() const { return dying_.load(std::memory_order_acquire); }
  // Set when every frame has gone, but for those held for other domains.
  bool gave_all_back() const {
    return gave_all_back_.load(std::memory_order_acquire);
  }

 private:
  friend class Life;
  std::atomic<bool> dying_ = false;
  std::atomic<bool> gave_all_back_ = false;
};

class Life {
 public:
  // BUILT.  `end` must outlive it.
  explicit Life(LifeEnd& end) : end_(end) {}
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  // OK if the domain is what `needs` asks for.  `held`: its frames that other
  // domains map, for the message about a dying one.
  // FAILED_PRECONDITION DOMAIN_DYING, DOMAIN_SUSPENDED, GUEST_KERNEL_UNKNOWN,
  // DOMAIN_NOT_BOOTED, DOMAIN_NOT_RUNNING.
  absl::Status Check(const Context& context, Needs needs,
                     PageCount held = PageCount(0)) const;
  // What Check() says of a dying domain.
  static absl::Status DyingError(DomainId id, PageCount held = PageCount(0));

  DomainState state() const { return state_; }
  bool built() const { return state_ == DomainState::kBuilt; }
  bool runs() const { return state_ == DomainState::kRunning; }
  bool dying() const { return state_ == DomainState::kDying; }
  // Whether it is dying and has given everything back.
  bool gone() const { return end_.gave_all_back(); }
  // Whether it has run, here or elsewhere, and is not dying.
  bool has_run() const { return runs() || state_ == DomainState::kPaused; }
  bool suspended() const { return suspended_; }
  // The number of the present suspension.  REQUIRES: suspended().
  uint64_t suspension() const;
  Handover handover() const { return handover_; }

  // Notes that its kernel is not ours, and never runs here.
  void NeverRuns() { foreign_kernel_ = true; }
  // Pauses a guest that runs; returns whether it did.
  bool Pause();
  // RUNNING.  REQUIRES: not suspended, not dying.
  void Run();
  // Makes it a guest that has come from elsewhere: PAUSED, and suspended as it
  // left, with Handover::kIncoming, after ArriveSuspended().  REQUIRES:
  // built(); for ArriveSuspended(), ArrivePaused() came before.
  void ArrivePaused();
  void ArriveSuspended();

  // Suspends a guest that runs, and returns the number of the suspension.
  // REQUIRES: Check() of Needs::kCanSuspend is OK.
  uint64_t Suspend();
  // Ends `suspension`, and a handover with it: PAUSED.  False, and nothing has
  // changed, unless it is the present one.
  bool Resume(uint64_t suspension);

  // Lets another host run the suspended guest: until Resume() or EndHandover()
  // it cannot be destroyed.
  // FAILED_PRECONDITION DOMAIN_DYING, also once BeginDestroy() has been called,
  // and DOMAIN_NOT_RUNNING if it is not suspended.
  absl::Status BeginHandover(const Context& context,
                             PageCount held = PageCount(0));
  void EndHandover() { handover_ = Handover::kNone; }

  // No handover can begin any more.
  // FAILED_PRECONDITION DOMAIN_MIGRATING during one.
  absl::Status BeginDestroy(const Context& context);
  // DYING, and not suspended any more.
  void BeginDying();
  // REQUIRES: BeginDying() was called.
  void GaveAllBack();

 private:
  absl::Status CheckAwake(const Context& context) const;
  absl::Status CheckOwnKernel(const Context& context) const;
  absl::Status CheckBooted(const Context& context) const;
  // `cannot`: what its guest cannot do, since it does not run.
  absl::Status CheckRuns(const Context& context,
                         absl::string_view cannot) const;

  LifeEnd& end_;
  DomainState state_ = DomainState::kBuilt;
  bool foreign_kernel_ = false;
  bool suspended_ = false;
  bool doomed_ = false;  // about to be destroyed
  Handover handover_ = Handover::kNone;
  uint64_t suspensions_ = 0;  // so far
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_LIFE_H_
