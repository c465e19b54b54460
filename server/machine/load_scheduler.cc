#include "server/machine/load_scheduler.h"

#include <algorithm>

#include "base/error.h"
#include "server/machine/memory_reserve.h"

namespace simvisor::server {
namespace {

constexpr uint64_t kBillion = 1'000'000'000;

}  // namespace

LoadScheduler::LoadScheduler(Clock* clock)
    : clock_(clock), thread_([this] { Work(); }) {}

LoadScheduler::~LoadScheduler() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
}

void LoadScheduler::AddDomain(const std::shared_ptr<Domain>& domain) {
  const Clock::Time now = clock_->Now();
  absl::MutexLock lock(&mu_);
  // A known domain keeps its pace.
  paces_.emplace(domain, Pace{now});
  next_tick_ = std::min(next_tick_, now + kTick);
}

void LoadScheduler::Keep(const std::weak_ptr<Domain>& domain,
                         const Pace& pace) {
  absl::MutexLock lock(&mu_);
  // AddDomain() may have added it again meanwhile, since it was missing here.
  paces_[domain] = pace;
}

void LoadScheduler::Work() {
  for (Paces due; TakeDue(due); due.clear()) {
    for (auto& [known, pace] : due) {
      const std::shared_ptr<Domain> domain = known.lock();
      if (domain != nullptr && Run(*domain, pace)) Keep(known, pace);
    }
  }
}

bool LoadScheduler::TakeDue(Paces& due) {
  absl::MutexLock lock(&mu_);
  while (!stopping_.load()) {
    if (paces_.empty()) {
      next_tick_ = Clock::Time::max();
    } else if (const Clock::Time now = clock_->Now(); next_tick_ <= now) {
      next_tick_ = now + kTick;
      due.swap(paces_);
      return true;
    }
    sleeping_until_ = next_tick_;
    clock_->Await(&mu_, absl::Condition(this, &LoadScheduler::MustLook),
                  sleeping_until_);
  }
  return false;
}

bool LoadScheduler::Run(Domain& domain, Pace& pace) {
  if (!domain.TryPages().has_value()) return true;
  const absl::StatusOr<LoadReport> load = domain.load().Find();
  if (!load.ok()) return false;
  const Clock::Time now = clock_->Now();
  const std::chrono::nanoseconds elapsed =
      std::min<std::chrono::nanoseconds>(now - pace.seen, kMostOwed);
  pace.seen = now;
  if (!load->running) {
    pace.owed = 0;
    return true;
  }
  // Far from overflow: 10^8 ns at 10^7 pages per second.
  pace.owed +=
      static_cast<uint64_t>(elapsed.count()) * load->spec.pages_per_second;
  const uint64_t writes = pace.owed / kBillion;
  pace.owed %= kBillion;
  const auto stop = [&] {
    return stopping_.load() || clock_->Now() - now > kTurn
               ? MakeError(absl::StatusCode::kCancelled, Reason::kCancelled,
                           "the time of a load's turn is over")
               : absl::OkStatus();
  };
  // Writes that it could not do are dropped.
  WithinMemory("", [&] {
    return domain.load().Run({"run its load", stop}, writes);
  }).IgnoreError();
  return true;
}

}  // namespace simvisor::server
