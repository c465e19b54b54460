#include "domain/migration/precopy.h"

#include <cassert>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace simvisor {
namespace {

constexpr char kOperation[] = "migrate";

}  // namespace

absl::StatusOr<std::unique_ptr<Precopy>> Precopy::Begin(
    std::shared_ptr<Domain> domain, const PrecopyPolicy& policy,
    std::string config) {
  SIMVISOR_ASSIGN_OR_RETURN(const LiveGuest guest,
                            domain->migration().StartLogDirty({kOperation}));
  return std::unique_ptr<Precopy>(
      new Precopy(std::move(domain), guest, policy, std::move(config)));
}

Precopy::Precopy(std::shared_ptr<Domain> domain, const LiveGuest& guest,
                 const PrecopyPolicy& policy, std::string config)
    : domain_(std::move(domain)),
      guest_(guest),
      policy_(policy),
      saver_(domain_, guest, ImageLayer::kXl, std::move(config)) {}

Precopy::~Precopy() { domain_->migration().StopLogDirty(); }

absl::Status Precopy::CheckLayout(uint64_t generation, Pfn last_pfn) const {
  if (generation == guest_.generation && last_pfn == guest_.last_pfn) {
    return absl::OkStatus();
  }
  return MakeError(
      absl::StatusCode::kAborted, Reason::kP2mChanged,
      absl::StrFormat("%s: migrate: the p2m list took new pages while "
                      "the guest was copied: generation %d (before: %d), end "
                      "at pfn 0x%x (before: 0x%x); the guest keeps running, "
                      "migrate it again",
                      domain_->identity().ToString(), generation,
                      guest_.generation, last_pfn.value(),
                      guest_.last_pfn.value()),
      {{fact::kOperation, "migrate"},
       {fact::kDomain, domain_->name()},
       {fact::kDomid, domain_->id().value()}});
}

absl::Status Precopy::Turn(uint64_t bytes_per_second, StopCheck stop) {
  assert(pass_done());
  ++stats_.passes;
  stats_.pass_pages = saver_.pfns_total();
  stats_.bytes_per_second = bytes_per_second;
  stats_.dirty.reset();
  stats_.dirty_now = domain_->migration().PeekLogDirty();
  if (last_live_pass_ && KeepsDowntime(policy_, stats_)) return Suspend(stop);
  last_live_pass_ = false;
  PrecopyDecision decision = DecidePrecopy(policy_, stats_);
  if (decision == PrecopyDecision::kContinue) {
    SIMVISOR_ASSIGN_OR_RETURN(DirtyPages dirty,
                              domain_->migration().CleanLogDirty());
    SIMVISOR_RETURN_IF_ERROR(CheckLayout(dirty.generation, guest_.last_pfn));
    stats_.dirty = dirty.pfns.size();
    stats_.dirty_now = dirty.pfns.size();
    converges_ = Converges(stats_);
    decision = DecidePrecopy(policy_, stats_);
    if (decision != PrecopyDecision::kAbort && !dirty.pfns.empty()) {
      last_live_pass_ = decision == PrecopyDecision::kStop;
      saver_.StartPass(std::move(dirty.pfns));
      return absl::OkStatus();
    }
  }
  if (decision != PrecopyDecision::kAbort) return Suspend(stop);
  return MakeError(
      absl::StatusCode::kAborted, Reason::kDowntimeExceeded,
      absl::StrFormat("%s: migrate: after %d passes %d pages are dirty, "
                      "which takes about %d ms to send; the limit is %d ms; "
                      "allow more passes or more downtime",
                      domain_->identity().ToString(), stats_.passes,
                      stats_.dirty_now.value(), EstimateDowntimeMs(stats_),
                      policy_.max_downtime_ms),
      {{fact::kOperation, "migrate"},
       {fact::kDomain, domain_->name()},
       {fact::kDomid, domain_->id().value()},
       {fact::kRequested, EstimateDowntimeMs(stats_)},
       {fact::kLimit, policy_.max_downtime_ms},
       {fact::kUnit, "ms"}});
}

absl::Status Precopy::Suspend(StopCheck stop) {
  SIMVISOR_ASSIGN_OR_RETURN(
      SuspendRecord record,
      domain_->migration().Suspend({kOperation, stop}, SuspendFor::kMigration));
  suspension_ = record.suspension;
  SIMVISOR_RETURN_IF_ERROR(CheckLayout(record.generation, record.last_pfn));
  SIMVISOR_ASSIGN_OR_RETURN(DirtyPages dirty,
                            domain_->migration().CleanLogDirty());
  saver_.StartLastPass(std::move(record), std::move(dirty.pfns));
  return absl::OkStatus();
}

}  // namespace simvisor
