#include "domain/smmu/pfn_claims.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "domain/smmu/mmu_types.h"
#include "domain/smmu/seeded_mistakes.h"

namespace simvisor {
namespace {

bool Overlap(const PfnSet& pfns, PfnExtent extent) {
  const auto& extents = pfns.extents();
  const auto after = extents.upper_bound(extent.first);
  if (after != extents.begin() && std::prev(after)->second > extent.first) {
    return !extent.empty();
  }
  return after != extents.end() && after->first < extent.end();
}

bool Overlap(const PfnSet& a, const PfnSet& b) {
  const bool a_is_shorter = a.extents().size() <= b.extents().size();
  const PfnSet& shorter = a_is_shorter ? a : b;
  const PfnSet& longer = a_is_shorter ? b : a;
  return std::any_of(shorter.extents().begin(), shorter.extents().end(),
                     [&longer](const auto& extent) {
                       return Overlap(
                           longer, ExtentBetween(extent.first, extent.second));
                     });
}

bool IsEverything(const PfnSet& pfns) {
  const auto& extents = pfns.extents();
  return extents.size() == 1 && extents.begin()->first <= kEveryPfn.first &&
         extents.begin()->second >= kEveryPfn.end();
}

bool Conflict(const PfnClaims::What& a, const PfnClaims::What& b) {
  if (a.seat && (b.seat || IsEverything(b.pfns))) return true;
  if (b.seat && IsEverything(a.pfns)) return true;
  return !(a.shared && b.shared) && Overlap(a.pfns, b.pfns);
}

// Whether a claim that is admitted, or one that came before, keeps `ticket`
// waiting.
bool MustWait(const PfnClaims::Queue& queue, const PfnClaims::Ticket& ticket) {
  bool before = true;
  for (const PfnClaims::Ticket& other : queue) {
    if (&other == &ticket) {
      before = false;
    } else if (((before && !IsSeeded(SeededMistake::kClaimOvertakes)) ||
                other.admitted()) &&
               Conflict(ticket.what(), other.what())) {
      return true;
    }
  }
  return false;
}

}  // namespace

PfnClaims::Queue::iterator PfnClaims::Add(What what, ChangeGate* gate) {
  const auto ticket = queue_.emplace(queue_.end());
  ticket->what_ = std::move(what);
  ticket->gate_ = gate;
  ticket->admitted_ = !MustWait(queue_, *ticket);
  if (IsSeeded(SeededMistake::kDrainSkipped) && !ticket->what_.shared &&
      IsEverything(ticket->what_.pfns)) {
    ticket->admitted_ = true;
  }
  return ticket;
}

void PfnClaims::Replace(Queue::iterator ticket, What what) {
  ticket->what_ = std::move(what);
  ticket->admitted_ = false;
  ticket->admitted_ = !MustWait(queue_, *ticket);
  AdmitOthers();
}

void PfnClaims::Drop(Queue::iterator ticket) {
  queue_.erase(ticket);
  AdmitOthers();
}

void PfnClaims::AdmitOthers() {
  for (Ticket& ticket : queue_) {
    if (ticket.admitted_ || MustWait(queue_, ticket)) continue;
    ticket.admitted_ = true;
    ticket.gate_->Open();
  }
}

void PfnClaims::WakeAll() {
  for (Ticket& ticket : queue_) {
    if (!ticket.admitted_) ticket.gate_->Open();
  }
}

size_t PfnClaims::waiting() const {
  return std::count_if(queue_.begin(), queue_.end(),
                       [](const Ticket& ticket) { return !ticket.admitted(); });
}

PfnSet PfnClaims::HeldBesides(const Ticket* own) const {
  PfnSet held;
  for (const Ticket& ticket : queue_) {
    if (&ticket == own || !ticket.admitted() || ticket.what().shared) continue;
    for (const auto& [first, end] : ticket.what().pfns.extents()) {
      held.Add(ExtentBetween(first, end));
    }
  }
  return held;
}

bool PfnClaims::seat_taken() const {
  return std::any_of(queue_.begin(), queue_.end(), [](const Ticket& ticket) {
    return ticket.admitted() && ticket.what().seat;
  });
}

bool PfnClaims::IsClaimed(PfnExtent pfns) const {
  return std::any_of(queue_.begin(), queue_.end(),
                     [pfns](const Ticket& ticket) {
                       return ticket.admitted() && !ticket.what().shared &&
                              Overlap(ticket.what().pfns, pfns);
                     });
}

void PfnClaims::Check(Findings& findings) const {
  for (auto a = queue_.begin(); a != queue_.end(); ++a) {
    if (!a->admitted()) {
      if (!MustWait(queue_, *a)) findings.Add("a claim waits for nothing");
      continue;
    }
    for (auto b = std::next(a); b != queue_.end(); ++b) {
      if (b->admitted() && Conflict(a->what(), b->what())) {
        findings.Add("two admitted claims conflict");
      }
    }
  }
}

}  // namespace simvisor
