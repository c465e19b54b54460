// Who may change words where: claims on pfns, in the order in which they came.
//
// A claim is admitted once it conflicts neither with an admitted claim nor with
// one that came before it and still waits.  Two claims conflict if their pfns
// overlap, unless both are shared; two that take the driver's seat conflict
// always, and with a claim on everything as well.  A ticket keeps its place
// when its pfns change, so an operation that plans again is not overtaken.
//
// With one ticket for each operation there is no deadlock: a ticket only waits
// for earlier ones.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_SMMU_PFN_CLAIMS_H_
#define SIMVISOR_DOMAIN_SMMU_PFN_CLAIMS_H_

#include <cstddef>
#include <list>

#include "domain/collections/extent_set.h"
#include "domain/units/change_waiter.h"
#include "domain/units/findings.h"
#include "domain/units/units.h"

namespace simvisor {

class PfnClaims {
 public:
  struct What {
    PfnSet pfns;
    bool shared = false;
    bool seat = false;  // the balloon driver
  };
  // A claim, from Add() to Drop().
  class Ticket {
   public:
    bool admitted() const { return admitted_; }
    const What& what() const { return what_; }

   private:
    friend class PfnClaims;
    What what_;
    ChangeGate* gate_ = nullptr;
    bool admitted_ = false;
  };
  using Queue = std::list<Ticket>;

  PfnClaims() = default;
  PfnClaims(const PfnClaims&) = delete;
  PfnClaims& operator=(const PfnClaims&) = delete;

  // Queues a claim at the end.  `gate`, which must outlive it, is opened when
  // it is admitted later; it is not touched if it is admitted at once.
  Queue::iterator Add(What what, ChangeGate* gate);
  // Replaces what a claim is for; it keeps its place, and may have to wait
  // again.  `gate` is opened as in Add().
  void Replace(Queue::iterator ticket, What what);
  // Ends a claim, admitted or not, and admits those that waited for it.
  void Drop(Queue::iterator ticket);

  // Opens the gates of all that wait, since the domain is dying.
  void WakeAll();

  bool empty() const { return queue_.empty(); }
  size_t waiting() const;
  // Whether an admitted exclusive claim covers part of `pfns`.
  bool IsClaimed(PfnExtent pfns) const;
  // The pfns of admitted exclusive claims, besides `own`, which may be null.
  PfnSet HeldBesides(const Ticket* own) const;
  // Whether an admitted claim has the driver's seat.
  bool seat_taken() const;
  // Adds a finding if two admitted claims conflict, or a claim waits for
  // nothing.
  void Check(Findings& findings) const;

 private:
  void AdmitOthers();

  Queue queue_;  // in the order of arrival; admitted ones too
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_PFN_CLAIMS_H_
