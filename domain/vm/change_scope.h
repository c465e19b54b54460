// One change of a domain, made by Domain::Change() while it holds the domain's
// lock; and the hypervisor that a guest sees meanwhile.
//
// Frames come out of a claim that the change makes first.  What is left of the
// claim goes with the scope, and the scope's end lets Domain::Info() show the
// domain as it is then.
//
// Thread safety: one thread.

#ifndef SIMVISOR_DOMAIN_VM_CHANGE_SCOPE_H_
#define SIMVISOR_DOMAIN_VM_CHANGE_SCOPE_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "domain/frames/frame_pool.h"
#include "domain/guest/hypercalls.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"
#include "domain/vm/parts.h"

namespace simvisor {

class Domain;

class ChangeScope final : public Hypercalls {
 public:
  // All arguments must outlive it.
  ChangeScope(Domain& domain, Parts& parts, FramePool& pool,
              const Context& context, StopCheck stop);
  ChangeScope(const ChangeScope&) = delete;
  ChangeScope& operator=(const ChangeScope&) = delete;
  ~ChangeScope() override;

  Parts& parts() { return parts_; }
  FramePool& pool() { return pool_; }
  const Context& context() const { return context_; }
  StopCheck stop() const { return stop_; }
  // Frames of the domain that other domains' mappings hold.
  PageCount held() const { return pool_.HeldBy(context_.id()); }
  // Lets Info() show the domain as it is now, amid a long change.
  void Show();

  // Claims frames that the domain can reach, in place of an earlier claim: all
  // of `pages`, or as many as there are.  RESOURCE_EXHAUSTED
  // HOST_MEMORY_EXHAUSTED, with the pool's message.
  absl::Status ClaimFrames(PageCount pages);
  void ClaimFramesUpTo(PageCount pages);
  // Draws on `claim`, which outlives this, instead.
  void DrawOn(FrameClaim& claim) { claim_ = &claim; }
  PageCount claimed() const { return claim_->remaining(); }

  // Dying domains whose last held frame this change has freed: the host looks
  // whether they are gone.
  const std::vector<DomainId>& drained() const { return drained_; }

  // Hypercalls; these are the only ones that change Reservation::current().
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
  Domain& domain_;
  Parts& parts_;
  FramePool& pool_;
  const Context& context_;
  const StopCheck stop_;
  FrameClaim own_claim_;
  FrameClaim* claim_ = &own_claim_;
  std::vector<DomainId> drained_;
  bool populated_ = false;  // since Info() last saw the domain
};

// The frames that a guest of that ABI can be given.
FrameReach ReachOf(const Abi& abi);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_CHANGE_SCOPE_H_
