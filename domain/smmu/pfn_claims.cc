#include "domain/smmu/pfn_claims.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace simvisor {
namespace {

bool Overlap(const PfnSet& a, const PfnSet& b) {
  const PfnSet& few = a.extents().size() <= b.extents().size() ? a : b;
  const PfnSet& many = &few == &a ? b : a;
  for (const auto& [first, end] : few.extents()) {
    if (many.CountIn(ExtentBetween(first, end)) > PageCount(0)) return true;
  }
  return false;
}

bool Conflict(const PfnClaims::What& a, const PfnClaims::What& b) {
  if (a.seat && b.seat) return true;
  return !(a.shared && b.shared) && Overlap(a.pfns, b.pfns);
}

}  // namespace

bool PfnClaims::MayBegin(Queue::const_iterator ticket) const {
  // Those that came before count whether or not they wait.
  bool before = true;
  for (auto other = queue_.begin(); other != queue_.end(); ++other) {
    if (other == ticket) {
      before = false;
    } else if ((before || other->admitted_) &&
               Conflict(other->what_, ticket->what_)) {
      return false;
    }
  }
  return true;
}

void PfnClaims::AdmitWaiting() {
  for (auto ticket = queue_.begin(); ticket != queue_.end(); ++ticket) {
    if (ticket->admitted_ || !MayBegin(ticket)) continue;
    ticket->admitted_ = true;
    ticket->gate_->Open();
  }
}

PfnClaims::Queue::iterator PfnClaims::Add(What what, ChangeGate* gate) {
  const auto ticket = queue_.emplace(queue_.end());
  ticket->what_ = std::move(what);
  ticket->gate_ = gate;
  ticket->admitted_ = MayBegin(ticket);
  return ticket;
}

void PfnClaims::Replace(Queue::iterator ticket, What what) {
  ticket->what_ = std::move(what);
  ticket->admitted_ = MayBegin(ticket);
  // What it no longer claims may let others begin.
  for (auto other = queue_.begin(); other != queue_.end(); ++other) {
    if (other == ticket || other->admitted_ || !MayBegin(other)) continue;
    other->admitted_ = true;
    other->gate_->Open();
  }
}

void PfnClaims::Drop(Queue::iterator ticket) {
  queue_.erase(ticket);
  AdmitWaiting();
}

void PfnClaims::WakeAll() {
  for (const Ticket& ticket : queue_) {
    if (!ticket.admitted_) ticket.gate_->Open();
  }
}

size_t PfnClaims::waiting() const {
  return static_cast<size_t>(
      std::count_if(queue_.begin(), queue_.end(),
                    [](const Ticket& ticket) { return !ticket.admitted_; }));
}

void PfnClaims::Check(Findings& findings) const {
  for (auto a = queue_.begin(); a != queue_.end(); ++a) {
    if (!a->admitted_) {
      if (MayBegin(a)) findings.Add("a claim waits for no other");
      continue;
    }
    for (auto b = std::next(a); b != queue_.end(); ++b) {
      if (b->admitted_ && Conflict(a->what_, b->what_)) {
        findings.Add("two changes have claimed the same pfns");
      }
    }
  }
}

}  // namespace simvisor
