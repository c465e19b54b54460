#include "server/machine/mmu_registry.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/smmu/secondary_mmus.h"
#include "server/machine/fault_points.h"
#include "server/machine/memory_reserve.h"
#include "server/machine/mmu_waiter.h"

namespace simvisor::server {
namespace {

absl::Status NotFound(absl::string_view operation, SubscriptionId id) {
  const auto number = static_cast<uint64_t>(id);
  return MakeError(
      absl::StatusCode::kNotFound, Reason::kSecondaryMmuNotFound,
      absl::StrFormat("%s: there is no subscription %d; list those of the "
                      "domain",
                      operation, number),
      {{fact::kValue, number}});
}

bool IsOver(SubscriptionState state) {
  return state == SubscriptionState::kFenced ||
         state == SubscriptionState::kGone;
}

// The subscriptions of a domain that may still get messages.
absl::flat_hash_set<SubscriptionId> Standing(const SecondaryMmus& mmus,
                                             absl::Time now) {
  absl::flat_hash_set<SubscriptionId> standing;
  for (const MmuInfo& info : mmus.List(now)) {
    if (!IsOver(info.state)) standing.insert(info.id);
  }
  return standing;
}

void Forget(const std::weak_ptr<Domain>& owner, SubscriptionId id) {
  const std::shared_ptr<Domain> domain = owner.lock();
  if (domain == nullptr) return;
  const std::shared_ptr<SecondaryMmus> mmus = domain->mmus().Find();
  if (mmus != nullptr) mmus->Forget(id);
}

}  // namespace

MmuRegistry::MmuRegistry(Clock* clock, FaultInjector* faults)
    : clock_(clock), faults_(*faults), thread_([this] { Work(); }) {}

MmuRegistry::~MmuRegistry() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
}

void MmuRegistry::Add(SubscriptionId id,
                      const std::shared_ptr<Domain>& domain) {
  absl::MutexLock lock(&mu_);
  entries_[id] = {.domain = domain, .key = domain.get()};
  // The thread then learns when the lease ends.
  Arm(domain, clock_->Now());
}

void MmuRegistry::Attach(SubscriptionId id) {
  absl::MutexLock lock(&mu_);
  const auto at = entries_.find(id);
  if (at != entries_.end()) at->second.attached = true;
}

bool MmuRegistry::Leave(SubscriptionId id) {
  std::shared_ptr<Domain> domain;
  {
    absl::MutexLock lock(&mu_);
    const auto at = entries_.find(id);
    if (at == entries_.end()) return false;
    at->second.attached = false;
    domain = at->second.domain.lock();
  }
  if (domain != nullptr) {
    const absl::Time now = ToLeaseTime(clock_->Now());
    if (Standing(*domain->mmus().Find(), now).contains(id)) return true;
  }
  Remove(id);
  return false;
}

void MmuRegistry::Remove(SubscriptionId id) {
  Entries::node_type gone;
  {
    absl::MutexLock lock(&mu_);
    gone = entries_.extract(id);
    if (gone.empty()) return;
    if (gone.mapped().ended) {
      ended_.erase(std::remove(ended_.begin(), ended_.end(), id), ended_.end());
    }
  }
  Forget(gone.mapped().domain, id);
}

absl::StatusOr<std::shared_ptr<Domain>> MmuRegistry::Find(
    absl::string_view operation, SubscriptionId id) const {
  std::shared_ptr<Domain> domain;
  {
    absl::MutexLock lock(&mu_);
    const auto at = entries_.find(id);
    if (at != entries_.end()) domain = at->second.domain.lock();
  }
  if (domain == nullptr) return NotFound(operation, id);
  return domain;
}

std::vector<std::shared_ptr<Domain>> MmuRegistry::Domains() const {
  std::vector<std::shared_ptr<Domain>> domains;
  {
    absl::MutexLock lock(&mu_);
    absl::flat_hash_set<const Domain*> seen;
    for (const auto& [id, entry] : entries_) {
      if (!seen.insert(entry.key).second) continue;
      if (auto domain = entry.domain.lock()) domains.push_back(domain);
    }
  }
  std::sort(domains.begin(), domains.end(),
            [](const auto& a, const auto& b) { return a->id() < b->id(); });
  return domains;
}

absl::Status MmuRegistry::Fence(absl::string_view operation,
                                SubscriptionId id) {
  SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                            Find(operation, id));
  ReachFence(*domain);
  if (!domain->mmus().Find()->Fence(id, FenceCause::kOperator)) {
    return NotFound(operation, id);
  }
  NoteEnded(domain);
  return absl::OkStatus();
}

void MmuRegistry::FenceAll() {
  const absl::Time now = ToLeaseTime(clock_->Now());
  for (const std::shared_ptr<Domain>& domain : Domains()) {
    const std::shared_ptr<SecondaryMmus> mmus = domain->mmus().Find();
    for (const MmuInfo& info : mmus->List(now)) {
      mmus->Fence(info.id, FenceCause::kOperator);
    }
  }
}

void MmuRegistry::ReachFence(Domain& domain) {
  // Nothing stops a fence.
  faults_.Reach(FaultPoint::kMmuFence, [&domain] { return domain.name(); })
      .IgnoreError();
}

void MmuRegistry::Work() {
  while (true) {
    const std::vector<std::shared_ptr<Domain>> due = AwaitDue();
    if (due.empty()) return;
    for (const std::shared_ptr<Domain>& domain : due) Expire(domain);
  }
}

std::vector<std::shared_ptr<Domain>> MmuRegistry::AwaitDue() {
  std::vector<std::shared_ptr<Domain>> due;
  absl::MutexLock lock(&mu_);
  while (!stopping_) {
    const Clock::Time now = clock_->Now();
    while (const auto timer = timers_.TakeDue(now)) {
      if (auto domain = timer->second.lock()) due.push_back(std::move(domain));
    }
    if (!due.empty()) return due;
    sleeping_until_ = timers_.NextDue();
    clock_->Await(&mu_, absl::Condition(this, &MmuRegistry::MustLook),
                  sleeping_until_);
  }
  return {};
}

void MmuRegistry::Expire(const std::shared_ptr<Domain>& domain) {
  const std::shared_ptr<SecondaryMmus> mmus = domain->mmus().Find();
  const absl::Time now = ToLeaseTime(clock_->Now());
  if (faults_.enabled()) {
    for (const MmuInfo& info : mmus->List(now)) {
      if (!IsOver(info.state) && info.lease_left <= absl::ZeroDuration() &&
          !info.in_process) {
        ReachFence(*domain);
      }
    }
  }
  const absl::Time next = mmus->Expire(now);
  NoteEnded(domain);
  if (next == absl::InfiniteFuture()) return;
  absl::MutexLock lock(&mu_);
  // Never at once again, whatever the library says.
  const auto least = clock_->Now() + std::chrono::milliseconds(1);
  Arm(domain, std::max(FromLeaseTime(next), least));
}

void MmuRegistry::Arm(const std::shared_ptr<Domain>& domain, Clock::Time due) {
  const Domain* const key = domain.get();
  const std::optional<Clock::Time> known = timers_.DueOf(key);
  if (!known.has_value() || due < *known) timers_.Set(key, due, domain);
}

void MmuRegistry::NoteEnded(const std::shared_ptr<Domain>& domain) {
  const auto standing =
      Standing(*domain->mmus().Find(), ToLeaseTime(clock_->Now()));
  std::vector<SubscriptionId> forgotten;
  {
    absl::MutexLock lock(&mu_);
    for (auto& [id, entry] : entries_) {
      if (entry.key != domain.get() || entry.attached || entry.ended) continue;
      if (standing.contains(id)) continue;
      entry.ended = true;
      ended_.push_back(id);
    }
    for (size_t i = kMaxEnded; i < ended_.size(); ++i) {
      forgotten.push_back(ended_[i - kMaxEnded]);
    }
  }
  for (const SubscriptionId id : forgotten) Remove(id);
}

}  // namespace simvisor::server
