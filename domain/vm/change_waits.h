// What a change of a domain with secondary MMUs waits for: its turn, and
// answers.  Only here does a change give up its domain's lock.
//
// While it waits, the pfns of its claim are its own: no other change stores
// their words.  Nothing else stays: after each wait the change looks at the
// domain as it is then.  After a wait that ends well, the domain is still as
// the operation demands (Needs).
//
// A change of a domain without subscriptions and without claims is quiet: it
// neither claims nor tells anything, and keeps the lock to its end.
//
// Source: mmu_notifier_invalidate_range_start() and _end().
//
// Thread safety: one thread, which holds the domain's lock.

#ifndef SIMVISOR_DOMAIN_VM_CHANGE_WAITS_H_
#define SIMVISOR_DOMAIN_VM_CHANGE_WAITS_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/collections/extent_set.h"
#include "domain/smmu/mmu_types.h"
#include "domain/smmu/pfn_claims.h"
#include "domain/units/change_waiter.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"
#include "domain/vm/life.h"
#include "domain/vm/mmu_state.h"

namespace simvisor {

class Domain;

class ChangeWaits {
 public:
  // All arguments must outlive it.
  ChangeWaits(Domain& domain, const Context& context,
              const Operation& operation, Needs needs);
  ChangeWaits(const ChangeWaits&) = delete;
  ChangeWaits& operator=(const ChangeWaits&) = delete;
  // Ends what is open: EndTold(), then DropClaim().  Tells objects in this
  // process of what EndSuspended() has closed.
  ~ChangeWaits();

  // Whether the change may have to wait.
  bool active() const { return state_ != nullptr; }
  // Makes it active even if it was quiet, for a registration.
  void Activate(MmuState& state) { state_ = &state; }
  // Sets what the domain must be after each wait from now on.
  void Demand(Needs needs) { needs_ = needs; }

  // --- Turns.  No-ops that succeed for a quiet change ------------------------

  // Claims `what` instead of what it claimed before, in its old place in the
  // queue; returns whether it has it.  Does not wait.
  bool TryClaim(PfnClaims::What what);
  // Waits until the change has what it claims.  FAILED_PRECONDITION
  // DOMAIN_DYING and what else Life::Check() says; ABORTED SECONDARY_MMU_BUSY
  // if the operation may not wait; the status of its StopCheck.  Then the claim
  // is gone.
  absl::Status AwaitTurn();
  absl::Status Claim(PfnClaims::What what);
  // Claims everything, and the balloon driver.
  absl::Status ClaimAll(bool shared = false);
  void DropClaim();
  // The pfns that other changes have claimed and share with no change.
  PfnSet HeldByOthers() const;

  // --- Answers.  No-ops that succeed for a quiet change ----------------------

  // Tells those concerned that `pfns` are about to change, and waits until they
  // have let go.  Returns with the range open, unless it fails, as AwaitTurn()
  // does; then the range is aborted and nothing has changed.
  // REQUIRES: the claim covers `pfns`; no range is open.
  absl::Status Tell(const PfnSet& pfns, InvalidateReason reason);
  absl::Status TellAll(InvalidateReason reason);
  // The same for one page, in one message.
  absl::Status TellPage(Pfn pfn);
  // Close the range that Tell() opened; no-ops if none is open.
  void EndTold();
  void AbortTold();

  // --- Suspension and the dirty log.  No-ops without a subscription ----------

  // Leaves the range open that Tell() opened, until EndSuspended().
  void KeepSuspended();
  void EndSuspended();
  // Whether grants of writable mappings are noted.
  void SetLogging(bool on);
  // Begins to clean the log, once no other change does.  Fails as AwaitTurn().
  absl::Status BeginClean();
  // Returns `dirty`, which was taken out of the log, and what grants have
  // noted, after write access to it has gone.  If it fails, as Tell() does, all
  // that is in the log again.
  absl::StatusOr<PfnSet> Protect(PfnSet dirty);

  // Calls `f` without the domain's lock.
  void StepAside(absl::FunctionRef<void()> f);
  // Reaches ChangePoint::kRegistering; an error there ends the registration.
  // Fails as AwaitTurn().
  absl::Status ReachRegistering();

  // Tells all that the domain ends, lets running changes fail, and waits until
  // all have let go or are fenced.  Also for a quiet change.
  void Release(ReleaseReason reason, std::string target);

  // Whether the domain is still as the operation demands; OK for a quiet
  // change.  EndTold() and AbortTold() give the lock up without this check.
  absl::Status StillAllowed() const;

  ChangeWaiter& waiter() const { return waiter_; }

 private:
  // f() without the domain's lock.
  template <typename F>
  auto Unlocked(F f);
  absl::Time Until() const;
  // Waits until `ticket` is admitted; the caller drops it if that fails.
  absl::Status AwaitTurn(const PfnClaims::Ticket& ticket);
  void PutBack(const PfnSet& dirty);
  // Tells objects in this process that the range is closed.
  void CallBackClosed();
  // Waits for the gate without the domain's lock.
  absl::Status Wait();
  absl::Status AwaitAnswers();
  absl::Status CheckAnswers() const;
  absl::Status Busy(const std::string& why) const;

  Domain& domain_;
  const Context& context_;
  const Operation& operation_;
  ChangeWaiter& waiter_;
  Needs needs_;
  MmuState* state_;  // null: quiet
  ChangeGate gate_;
  std::optional<PfnClaims::Queue::iterator> ticket_;
  std::optional<RangeId> told_;
  std::optional<RangeId> resumed_;  // closed, and objects are not told yet
  std::optional<PfnClaims::Queue::iterator> clean_;  // in cleans
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_CHANGE_WAITS_H_
