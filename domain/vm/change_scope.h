// One change of a domain, made by Domain::Change() while it holds the domain's
// lock.  To the guest it is the hypervisor.  It may give the lock up to wait
// for secondary MMUs, but only where it calls waits().
//
// Frames come from a claim that the change makes first.  The end of the scope
// gives up what is left of that claim, and lets Domain::Info() show the domain
// as it is then.
//
// Thread safety: one thread.

#ifndef SIMVISOR_DOMAIN_VM_CHANGE_SCOPE_H_
#define SIMVISOR_DOMAIN_VM_CHANGE_SCOPE_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "domain/frames/frame_pool.h"
#include "domain/guest/hypercalls.h"
#include "domain/p2m/change_permit.h"
#include "domain/units/abi.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"
#include "domain/vm/change_waits.h"
#include "domain/vm/domain_types.h"
#include "domain/vm/life.h"
#include "domain/vm/parts.h"

namespace simvisor {

class Domain;

class ChangeScope final : public Hypercalls {
 public:
  // All arguments must outlive it.
  ChangeScope(Domain& domain, Parts& parts, FramePool& pool,
              const Context& context, const Operation& operation, Needs needs);
  ChangeScope(const ChangeScope&) = delete;
  ChangeScope& operator=(const ChangeScope&) = delete;
  ~ChangeScope() override;

  Parts& parts() { return parts_; }
  FramePool& pool() { return pool_; }
  const Context& context() const { return context_; }
  StopCheck stop() const { return operation_.stop; }
  // Whether a change that does not wait for secondary MMUs must not be done in
  // part.
  bool must_be_whole() const { return !operation_.may_wait; }
  // How the change claims pfns, and tells secondary MMUs what it is about to
  // change.
  ChangeWaits& waits() { return waits_; }
  const ChangeWaits& waits() const { return waits_; }
  // Frames of the domain that other domains' mappings hold.
  PageCount held() const { return pool_.HeldBy(context_.id()); }
  // The domain's memory as it is now.
  DomainMemory Memory() const;
  // Lets Info() show the domain as it is now, during a long change.
  void Show();

  // Says that this change alters nothing that Info() shows, so that its end
  // does not show the domain.
  void ShowNothing() { shows_ = false; }

  // Claim frames that the domain can reach: all of `pages`, or as many as there
  // are.  An earlier claim is given up first.
  // RESOURCE_EXHAUSTED HOST_MEMORY_EXHAUSTED, with the pool's message.
  // REQUIRES: DrawOn() was not called.
  absl::Status ClaimFrames(PageCount pages);
  void ClaimFramesUpTo(PageCount pages);
  // Takes frames from `claim` instead, which must outlive this object.
  void DrawOn(FrameClaim& claim) { claim_ = &claim; }
  PageCount claimed() const { return claim_->remaining(); }

  // Dying domains whose last held frame this change has freed; the host checks
  // whether they are gone.
  const std::vector<DomainId>& drained() const { return drained_; }

  // Hypercalls.  Only they change Reservation::current().
  const ChangePermit& permit() const override { return permit_; }
  PageCount PopulatePhysmap(PfnExtent pfns, Placed placed) override;
  PageCount DecreaseReservation(absl::Span<const MfnExtent> frames) override;
  void MachphysUpdate(MfnExtent frames, Pfn first) override;
  absl::Status MapForeign(Mfn mfn) override;
  absl::Status CheckForeign(Mfn mfn) const override;
  PageCount UnmapForeign(absl::Span<const Mfn> mfns) override;
  PageCount CurrentReservation() const override {
    return parts_.reservation.current();
  }
  absl::Status Preempted() override;

 private:
  const ChangePermit permit_;
  Domain& domain_;
  Parts& parts_;
  FramePool& pool_;
  const Context& context_;
  const Operation& operation_;
  FrameClaim own_claim_;
  FrameClaim* claim_ = &own_claim_;
  std::vector<DomainId> drained_;
  bool populated_ = false;  // since the last Show()
  bool shows_ = true;       // at its end
  ChangeWaits waits_;
};

// The frames that a guest of `abi` can be given.
FrameReach ReachOf(const Abi& abi);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_CHANGE_SCOPE_H_
