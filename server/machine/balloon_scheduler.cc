#include "server/machine/balloon_scheduler.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>

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

BalloonScheduler::BalloonScheduler(Clock* clock, Executor executor,
                                   Executor waits)
    : clock_(clock),
      executor_(std::move(executor)),
      waits_(std::move(waits)),
      thread_([this] { Work(); }) {}

BalloonScheduler::~BalloonScheduler() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(this, &BalloonScheduler::NoneApart));
}

void BalloonScheduler::SetTimer(const std::shared_ptr<Domain>& domain,
                                const BalloonTimer& timer) {
  const Clock::Time now = clock_->Now();
  absl::MutexLock lock(&mu_);
  const Entry* const known = timers_.Find(domain->id());
  if (known != nullptr && IsSameDomain(known->domain, domain)) {
    // Another thread may have read a newer timer and got here first; and a
    // timer that is running is not restarted.
    const uint64_t wakeups = known->timer.wakeups;
    if (wakeups > timer.wakeups) return;
    if (wakeups == timer.wakeups && timer.seconds.has_value()) return;
  }
  if (timer.seconds.has_value()) {
    timers_.Set(domain->id(), now + std::chrono::seconds(*timer.seconds),
                {domain, timer});
  } else {
    timers_.Cancel(domain->id());
  }
}

void BalloonScheduler::Work() {
  while (const std::optional<Timers::Timer> due = TakeDue()) {
    if (StartApart(*due)) continue;
    const absl::Status submitted = UnlessExhausted([&] {
      executor_([this, due = *due] { WakeUp(due); });
      return absl::OkStatus();
    });
    // Without memory for a job, the driver wakes on this thread.
    if (!submitted.ok()) WakeUp(*due);
  }
}

bool BalloonScheduler::StartApart(const Timers::Timer& due) {
  if (waits_ == nullptr) return false;
  const std::shared_ptr<Domain> domain = due.second.domain.lock();
  if (domain == nullptr || !domain->ChangesWait()) return false;
  {
    absl::MutexLock lock(&mu_);
    ++apart_;
  }
  const absl::Status submitted = UnlessExhausted([&] {
    waits_([this, due] {
      Wake(due.second);
      absl::MutexLock lock(&mu_);
      --apart_;
    });
    return absl::OkStatus();
  });
  absl::MutexLock lock(&mu_);
  if (submitted.ok()) {
    at_work_ = false;
  } else {
    --apart_;
  }
  return submitted.ok();
}

std::optional<BalloonScheduler::Timers::Timer> BalloonScheduler::TakeDue() {
  absl::MutexLock lock(&mu_);
  while (true) {
    mu_.Await(absl::Condition(this, &BalloonScheduler::IsIdle));
    if (stopping_.load()) return std::nullopt;
    std::optional<Timers::Timer> due = timers_.TakeDue(clock_->Now());
    if (due.has_value()) {
      at_work_ = true;
      return due;
    }
    sleeping_until_ = timers_.NextDue();
    clock_->Await(&mu_, absl::Condition(this, &BalloonScheduler::MustLook),
                  sleeping_until_);
  }
}

void BalloonScheduler::WakeUp(const Timers::Timer& due) {
  Wake(due.second);
  absl::MutexLock lock(&mu_);
  at_work_ = false;
}

void BalloonScheduler::Wake(const Entry& entry) {
  const std::shared_ptr<Domain> domain = entry.domain.lock();
  if (domain == nullptr) return;
  if (!domain->TryPages().has_value()) return Postpone(domain->id(), entry);
  const auto stop = [this] {
    return stopping_.load() ? MakeError(absl::StatusCode::kCancelled,
                                        Reason::kCancelled, "the daemon stops")
                            : absl::OkStatus();
  };
  spdlog::debug("balloon driver of domain {} wakes after {} s",
                domain->id().value(), entry.timer.seconds.value_or(0));
  // Whether it was stopped or got nothing, its timer says what comes next.
  UnlessExhausted([&] {
    return domain->balloon().Wake({"balloon timer", stop}, entry.timer);
  }).IgnoreError();
  SetTimer(domain, domain->balloon().timer());
}

void BalloonScheduler::Postpone(DomainId id, const Entry& entry) {
  const Clock::Time due = clock_->Now() + kPostponed;
  absl::MutexLock lock(&mu_);
  if (timers_.Find(id) == nullptr) timers_.Set(id, due, entry);
}

}  // namespace simvisor::server
