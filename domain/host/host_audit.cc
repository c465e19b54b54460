// The audit of the whole machine.

#include <utility>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "domain/host/host.h"

namespace simvisor {
namespace {

constexpr size_t kMaxFindings = 1000;

// Holds any number of domains still.  While it waits for one domain it holds no
// other, so that a running operation on one domain does not block the rest.
// That may never succeed if new operations keep coming; so after some tries it
// waits for each lock while it holds the ones before, in ascending order of
// ids.
class AllDomainsLock {
 public:
  explicit AllDomainsLock(absl::Span<const std::shared_ptr<Domain>> domains)
      : domains_(domains) {
    constexpr int kTries = 64;
    size_t busy = 0;
    for (int i = 0; i < kTries; ++i) {
      if (TryAll(busy)) return;
    }
    for (const auto& domain : domains_) domain->audit().Lock();
  }
  ~AllDomainsLock() {
    for (const auto& domain : domains_) domain->audit().Unlock();
  }
  AllDomainsLock(const AllDomainsLock&) = delete;
  AllDomainsLock& operator=(const AllDomainsLock&) = delete;

 private:
  // Waits for number `first`, then tries the others without waiting.  On
  // failure it holds no lock, and `first` is the one that was busy.
  bool TryAll(size_t& first) {
    if (domains_.empty()) return true;
    domains_[first]->audit().Lock();
    for (size_t i = 0; i < domains_.size(); ++i) {
      if (i == first || domains_[i]->audit().TryLock()) continue;
      domains_[first]->audit().Unlock();
      for (size_t held = 0; held < i; ++held) {
        if (held != first) domains_[held]->audit().Unlock();
      }
      first = i;
      return false;
    }
    return true;
  }

  const absl::Span<const std::shared_ptr<Domain>> domains_;
};

}  // namespace

AuditReport Host::Audit() const {
  AuditReport report;
  Audit(NeverStop, report).IgnoreError();  // it never stops
  return report;
}

absl::Status Host::Audit(StopCheck stop, AuditReport& report) const {
  absl::MutexLock alone(&gate_);
  std::vector<std::shared_ptr<Domain>> domains;
  {
    absl::ReaderMutexLock lock(&mu_);
    for (const auto& [id, entry] : domains_) {
      if (entry.domain != nullptr) domains.push_back(entry.domain);
    }
  }
  SIMVISOR_RETURN_IF_ERROR(AuditDomains(domains, stop, report));
  if (report.findings.size() > kMaxFindings) {
    report.findings.resize(kMaxFindings);
  }
  return absl::OkStatus();
}

absl::Status Host::AuditDomains(
    absl::Span<const std::shared_ptr<Domain>> domains, StopCheck stop,
    AuditReport& report) const {
  // The caller may have gone while this waited for the locks.
  SIMVISOR_RETURN_IF_ERROR(stop());
  const AllDomainsLock hold(domains);
  DomainAuditTotals totals;
  absl::Status stopped;
  for (const auto& domain : domains) {
    stopped = stop();
    if (!stopped.ok()) break;
    domain->audit().Check(totals);
  }
  report.findings = std::move(totals.findings);
  report.words = totals.words;
  SIMVISOR_RETURN_IF_ERROR(stopped);
  report.domains = static_cast<uint32_t>(domains.size());
  SIMVISOR_RETURN_IF_ERROR(stop());
  AuditMachine(totals, report);
  return absl::OkStatus();
}

void Host::AuditMachine(const DomainAuditTotals& domains,
                        AuditReport& report) const {
  if (const absl::Status cpus = cpus_.CheckInvariants(); !cpus.ok()) {
    report.findings.push_back(std::string(cpus.message()));
  }
  for (const absl::Status& status :
       {pool_->CheckInvariants(), pool_->CheckMappings(domains.mapped)}) {
    if (status.ok()) continue;
    report.findings.push_back(
        absl::StrFormat("frame pool: %s", status.message()));
  }
  const FramePool::Counts counts = pool_->counts();
  report.frames = counts.total.value();
  if (counts.owned != domains.pages) {
    report.findings.push_back(absl::StrFormat(
        "the pool says that %d frames are owned, the domains say %d",
        counts.owned.value(), domains.pages.value()));
  }
  if (counts.free + counts.owned + counts.reserved != counts.total) {
    report.findings.push_back(absl::StrFormat(
        "%d free, %d owned and %d reserved frames are not %d in total",
        counts.free.value(), counts.owned.value(), counts.reserved.value(),
        counts.total.value()));
  }
}

}  // namespace simvisor
