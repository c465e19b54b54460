#include "domain/smmu/subscription.h"

#include <algorithm>

namespace simvisor {
namespace {

// Messages that a resumable subscription keeps for a stream that breaks, and
// that an object of this process keeps even if they are not taken.
constexpr size_t kMostKept = 8192;

}  // namespace

bool Subscription::owes_answers() const {
  return std::any_of(owed.begin(), owed.end(), [](const auto& entry) {
    return entry.second.kind != Owed::Kind::kYoung;
  });
}

bool Subscription::Watches(absl::Span<const PfnExtent> pfns) {
  return intervals.Hit(pfns, /*seq=*/0);
}

bool Subscription::IsConcerned(absl::Span<const PfnExtent> pfns,
                               InvalidateReason reason) {
  if (!stays() || !Watches(pfns)) return false;
  if (spec.events == EventFilter::kAll) return true;
  const bool writable_only = reason == InvalidateReason::kProtect;
  return std::any_of(pfns.begin(), pfns.end(), [&](PfnExtent extent) {
    return mapped.Touches(extent, writable_only);
  });
}

uint64_t Subscription::Tell(mmu::Body body) {
  messages.push_back({++last_ev, std::move(body)});
  if (object != nullptr) Trim();
  return last_ev;
}

void Subscription::Trim() {
  const bool keeps = object != nullptr || spec.resumable;
  const size_t most = keeps ? kMostKept : 0;
  while (messages.size() > most && (next > 0 || object != nullptr)) {
    messages.pop_front();
    if (next > 0) --next;
  }
}

std::vector<mmu::Message> Subscription::Take(size_t most) {
  const size_t end = std::min(messages.size(), next + most);
  std::vector<mmu::Message> taken(
      messages.begin() + static_cast<std::ptrdiff_t>(next),
      messages.begin() + static_cast<std::ptrdiff_t>(end));
  next = end;
  if (std::exchange(resumed, false)) {
    taken.insert(taken.begin(), {0, mmu::Resumed()});
  }
  Trim();
  return taken;
}

bool Subscription::RewindTo(uint64_t ev) {
  if (ev > last_ev) return false;
  const uint64_t kept_from = last_ev - messages.size();
  if (ev < kept_from) return false;
  next = ev - kept_from;
  return true;
}

}  // namespace simvisor
