#include "server/machine/fault_injector.h"

#include <signal.h>
#include <spdlog/spdlog.h>

#include <cassert>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/error.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "server/machine/events.h"

namespace simvisor::server {
namespace {

// A number in [0, 1).  Does not use the distributions of the standard library,
// whose results differ between implementations.
double Fraction(std::mt19937_64& random) {
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

// "fault point save.piece of domain "web": rule 3"; without the domain if its
// name is empty.
std::string Describe(const FaultRuleState& state, absl::string_view domain) {
  return absl::StrCat(
      "fault point ", FaultPointName(state.rule.point),
      domain.empty() ? "" : absl::StrCat(" of domain ", Quoted(domain)),
      ": rule ", state.id);
}

absl::Status Injected(const FaultRuleState& state, absl::string_view domain) {
  return MakeError(state.rule.code, Reason::kFaultInjected,
                   absl::StrCat(Describe(state, domain),
                                " makes the call fail here on purpose; remove "
                                "the rule to stop that"),
                   {{fact::kDomain, domain}, {fact::kValue, state.id}});
}

// "fault rule 3 of save.piece of domain "web": error UNAVAILABLE, skip 2, count
// 1, probability 0.5", without what is not set.
std::string DescribeRule(uint64_t id, const FaultRule& rule) {
  std::string text =
      absl::StrCat("fault rule ", id, " at ", FaultPointName(rule.point));
  if (!rule.domain.empty()) {
    absl::StrAppend(&text, " of domain ", Quoted(rule.domain));
  }
  switch (rule.action) {
    case FaultAction::kError:
      absl::StrAppend(&text, ": error ", absl::StatusCodeToString(rule.code));
      break;
    case FaultAction::kDelay:
      absl::StrAppend(&text, ": delay of ", rule.delay_ms, " ms");
      break;
    case FaultAction::kCrash:
      absl::StrAppend(&text, ": crash");
      break;
  }
  if (rule.skip > 0) absl::StrAppend(&text, ", skip ", rule.skip);
  if (rule.count > 0) absl::StrAppend(&text, ", count ", rule.count);
  if (rule.probability < 1) {
    absl::StrAppend(&text, ", probability ", rule.probability);
  }
  return text;
}

// As if the power failed: nothing is flushed, answered or cleaned up.
void Crash(const FaultRuleState& state, absl::string_view domain) {
  spdlog::critical("{} kills the daemon on purpose", Describe(state, domain));
  spdlog::default_logger()->flush();
  raise(SIGKILL);
}

}  // namespace

FaultInjector::FaultInjector(bool enabled, uint64_t seed, Clock* clock)
    : seed_(seed), clock_(clock), enabled_(enabled) {}

bool FaultInjector::Enable() {
  {
    absl::MutexLock lock(&mu_);
    if (enabled_.exchange(true, std::memory_order_relaxed)) return false;
  }
  UnlessExhausted([] {
    spdlog::warn(
        "fault injection is on: any client can make calls fail, or kill the "
        "daemon");
    return absl::OkStatus();
  }).IgnoreError();
  return true;
}

std::optional<size_t> FaultInjector::Disable() {
  size_t removed = 0;
  {
    absl::MutexLock lock(&mu_);
    if (!enabled_.exchange(false, std::memory_order_relaxed)) {
      return std::nullopt;
    }
    removed = Clear();
  }
  LogEvent([removed] {
    return absl::StrCat("fault injection is off; rules removed: ", removed);
  });
  return removed;
}

bool FaultInjector::FailNow(AllocationSite site) {
  const FaultPoint point = PointOf(site);
  if (!HasRules(point)) return false;
  const Verdict verdict = Hit(point, "");
  if (verdict.last.id == 0) return false;
  if (verdict.last.rule.action == FaultAction::kCrash) Crash(verdict.last, "");
  // Only the first time: the rule may act for each page of a guest.
  if (verdict.last.acted == 1) {
    LogEvent([&] {
      return absl::StrCat(Describe(verdict.last, ""),
                          " makes an allocation fail");
    });
  }
  return true;
}

absl::Status FaultInjector::Act(FaultPoint point, absl::string_view domain) {
  const Verdict verdict = Hit(point, domain);
  for (const FaultRuleState& delay : verdict.delays) {
    LogEvent([&] {
      return absl::StrCat(Describe(delay, domain), " delays the call by ",
                          delay.rule.delay_ms, " ms");
    });
    Wait(delay);
  }
  if (verdict.last.id == 0) return absl::OkStatus();
  if (verdict.last.rule.action == FaultAction::kCrash) {
    Crash(verdict.last, domain);
  }
  LogEvent([&] {
    return absl::StrCat(Describe(verdict.last, domain),
                        " makes the call fail with ",
                        absl::StatusCodeToString(verdict.last.rule.code));
  });
  return Injected(verdict.last, domain);
}

FaultInjector::Verdict FaultInjector::Hit(FaultPoint point,
                                          absl::string_view domain) {
  Verdict verdict;
  absl::MutexLock lock(&mu_);
  for (auto& [id, entry] : rules_) {
    const FaultRule& rule = entry.state.rule;
    if (rule.point != point) continue;
    if (!rule.domain.empty() && rule.domain != domain) continue;
    if (!Acts(entry)) continue;
    if (rule.action != FaultAction::kDelay) {
      verdict.last = entry.state;
      break;
    }
    verdict.delays.push_back(entry.state);
  }
  return verdict;
}

bool FaultInjector::Acts(Entry& entry) {
  FaultRuleState& state = entry.state;
  const FaultRule& rule = state.rule;
  ++state.hits;
  if (state.hits <= rule.skip) return false;
  if (rule.count != 0 && state.acted == rule.count) return false;
  if (rule.probability < 1 && Fraction(entry.random) >= rule.probability) {
    return false;
  }
  ++state.acted;
  return true;
}

void FaultInjector::Wait(const FaultRuleState& delay) {
  const Clock::Time until =
      clock_->Now() + std::chrono::milliseconds(delay.rule.delay_ms);
  absl::MutexLock lock(&mu_);
  const auto over = [this, id = delay.id]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopped_ || !rules_.contains(id);
  };
  clock_->Await(&mu_, absl::Condition(&over), until);
}

absl::Status FaultInjector::CheckEnabled() const {
  if (enabled()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   Reason::kFaultInjectionDisabled,
                   "fault injection: this daemon accepts no fault rules; run "
                   "simvisor fault enable as its owner, or start it with "
                   "--enable-fault-injection");
}

absl::StatusOr<uint64_t> FaultInjector::Add(const FaultRule& rule) {
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t id, Set(rule));
  LogEvent([&] { return absl::StrCat(DescribeRule(id, rule), ": added"); });
  return id;
}

absl::StatusOr<uint64_t> FaultInjector::Set(const FaultRule& rule) {
  assert(rule.action != FaultAction::kError ||
         rule.code != absl::StatusCode::kOk);
  assert(rule.action != FaultAction::kDelay ||
         (rule.delay_ms >= 1 && rule.delay_ms <= kMaxFaultDelayMs));
  assert(rule.probability > 0 && rule.probability <= 1);
  assert(InfoOf(rule.point).kind != FaultPointKind::kAllocation ||
         (rule.domain.empty() && rule.action != FaultAction::kDelay));
  absl::MutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(CheckEnabled());
  if (rules_.size() >= kMaxFaultRules) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, Reason::kFaultRulesExhausted,
        absl::StrCat("a fault at ", FaultPointName(rule.point), ": there are ",
                     rules_.size(), " rules, which is the limit; remove some"),
        {{fact::kLimit, rules_.size()}, {fact::kUnit, "rules"}});
  }
  const uint64_t id = ++last_id_;
  // The multiplier spreads neighbouring ids over all seeds.
  rules_[id] = {
      .state = {.id = id, .rule = rule},
      .random = std::mt19937_64(seed_ + id * uint64_t{0x9e3779b97f4a7c15})};
  NotePoints();
  return id;
}

std::vector<FaultRuleState> FaultInjector::List() const {
  std::vector<FaultRuleState> states;
  absl::MutexLock lock(&mu_);
  states.reserve(rules_.size());
  for (const auto& [id, entry] : rules_) states.push_back(entry.state);
  return states;
}

absl::StatusOr<size_t> FaultInjector::Remove(absl::Span<const uint64_t> ids) {
  SIMVISOR_ASSIGN_OR_RETURN(const size_t removed, Erase(ids));
  LogEvent([&] {
    return absl::StrCat("fault rules removed: ", absl::StrJoin(ids, ", "));
  });
  return removed;
}

absl::StatusOr<size_t> FaultInjector::Erase(absl::Span<const uint64_t> ids) {
  absl::MutexLock lock(&mu_);
  for (const uint64_t id : ids) {
    if (rules_.contains(id)) continue;
    return MakeError(absl::StatusCode::kNotFound, Reason::kFaultRuleNotFound,
                     absl::StrCat("removal of rule ", id,
                                  ": no rule has this id; list the rules"),
                     {{fact::kValue, id}});
  }
  size_t removed = 0;
  for (const uint64_t id : ids) removed += rules_.erase(id);
  NotePoints();
  return removed;
}

size_t FaultInjector::RemoveAll() {
  size_t removed = 0;
  {
    absl::MutexLock lock(&mu_);
    removed = Clear();
  }
  LogEvent(
      [removed] { return absl::StrCat("all fault rules removed: ", removed); });
  return removed;
}

size_t FaultInjector::Clear() {
  const size_t removed = rules_.size();
  rules_.clear();
  NotePoints();
  return removed;
}

void FaultInjector::Stop() {
  absl::MutexLock lock(&mu_);
  stopped_ = true;
}

void FaultInjector::NotePoints() {
  uint64_t points = 0;
  for (const auto& [id, entry] : rules_)
    points |= BitOf(entry.state.rule.point);
  points_with_rules_.store(points, std::memory_order_relaxed);
}

}  // namespace simvisor::server
