#include "server/machine/balloon_scheduler.h"

#include <spdlog/spdlog.h>

#include <chrono>

#include "base/error.h"
#include "server/machine/memory_reserve.h"

namespace simvisor::server {
namespace {

constexpr std::chrono::milliseconds kPostponed{100};

bool IsSameDomain(const std::weak_ptr<Domain>& a,
                  const std::shared_ptr<Domain>& b) {
  return !a.owner_before(b) && !b.owner_before(a);
}

}  // namespace

BalloonScheduler::BalloonScheduler(Clock* clock)
    : clock_(clock), thread_([this] { Work(); }) {}

BalloonScheduler::~BalloonScheduler() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
}

void BalloonScheduler::Watch(const std::shared_ptr<Domain>& domain) {
  const BalloonTimer timer = domain->balloon_timer();
  const Clock::Time now = clock_->Now();
  absl::MutexLock lock(&mu_);
  const auto known = entries_.find(domain->id());
  if (known != entries_.end() && IsSameDomain(known->second.domain, domain)) {
    // Another thread may have looked later and come here earlier; and a timer
    // that runs is not wound up again.
    const uint64_t wakeups = known->second.timer.wakeups;
    if (wakeups > timer.wakeups) return;
    if (wakeups == timer.wakeups && timer.seconds.has_value()) return;
  }
  Drop(domain->id());
  if (!timer.seconds.has_value()) return;
  const Clock::Time due = now + std::chrono::seconds(*timer.seconds);
  entries_[domain->id()] = {domain, timer, due};
  queue_.emplace(due, domain->id());
}

void BalloonScheduler::Drop(DomainId id) {
  const auto at = entries_.find(id);
  if (at == entries_.end()) return;
  queue_.erase({at->second.due, id});
  entries_.erase(at);
}

Clock::Time BalloonScheduler::NextDue() const {
  return queue_.empty() ? Clock::Time::max() : queue_.begin()->first;
}

void BalloonScheduler::Work() {
  while (const std::optional<Entry> entry = TakeDue()) Wake(*entry);
}

std::optional<BalloonScheduler::Entry> BalloonScheduler::TakeDue() {
  absl::MutexLock lock(&mu_);
  while (!stopping_.load()) {
    if (NextDue() <= clock_->Now()) {
      const DomainId id = queue_.begin()->second;
      Entry entry = entries_.at(id);
      Drop(id);
      return entry;
    }
    sleeping_until_ = NextDue();
    clock_->Await(&mu_, absl::Condition(this, &BalloonScheduler::MustLook),
                  sleeping_until_);
  }
  return std::nullopt;
}

void BalloonScheduler::Postpone(DomainId id, Entry entry) {
  entry.due = clock_->Now() + kPostponed;
  absl::MutexLock lock(&mu_);
  if (!entries_.emplace(id, entry).second) return;
  queue_.emplace(entry.due, id);
}

void BalloonScheduler::Wake(const Entry& entry) {
  const std::shared_ptr<Domain> domain = entry.domain.lock();
  if (domain == nullptr) return;
  if (domain->IsAtWork()) return Postpone(domain->id(), entry);
  const auto stop = [this] {
    return stopping_.load() ? MakeError(absl::StatusCode::kCancelled,
                                        Reason::kCancelled, "the daemon stops")
                            : absl::OkStatus();
  };
  spdlog::debug("balloon driver of domain {} wakes after {} s",
                domain->id().value(), entry.timer.seconds.value_or(0));
  // Whether it was stopped or got nothing, its timer tells what comes next.
  UnlessExhausted([&] {
    return domain->WakeBalloon({"balloon timer", stop}, entry.timer);
  }).IgnoreError();
  Watch(domain);
}

}  // namespace simvisor::server
