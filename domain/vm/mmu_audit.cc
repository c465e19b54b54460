#include "domain/vm/mmu_audit.h"

#include "absl/strings/str_format.h"

namespace simvisor {

void MmuAudit::Check() const {
  if (state_ == nullptr) return;
  state_->claims.Check(findings_);
  state_->cleans.Check(findings_);
  // Before Check(), which holds the lock that this takes.
  const PfnSet granted = state_->mmus->Granted();
  state_->mmus->Check(findings_, [this, &granted](const MappingRun& run) {
    CheckRun(run, granted);
  });
  if (on_.life.suspended() && state_->suspension.has_value() &&
      state_->mmus->Totals().mapped > PageCount(0)) {
    findings_.Add("its guest is suspended, and secondary MMUs map its pages");
  }
  if (!on_.life.suspended() && state_->suspension.has_value()) {
    findings_.Add(
        "its guest is not suspended, but the range of a suspension "
        "is open");
  }
}

void MmuAudit::CheckRun(const MappingRun& run, const PfnSet& granted) const {
  const P2mWords& words = on_.memory.words();
  for (PageCount i; i < run.count; i += PageCount(1)) {
    const P2mWord word = words.Lookup(run.pfn + i);
    const P2mClass found = word.Class();
    if ((found == P2mClass::kRam || found == P2mClass::kForeign) &&
        word.Number() == (run.mfn + i).value()) {
      continue;
    }
    findings_.Add(absl::StrFormat(
        "a secondary MMU maps pfn 0x%x to mfn 0x%x, but its word is %s",
        (run.pfn + i).value(), (run.mfn + i).value(), word.ToString()));
  }
  if (run.writable && on_.memory.dirty().enabled()) CheckDirty(run, granted);
}

void MmuAudit::CheckDirty(const MappingRun& run, const PfnSet& granted) const {
  const PfnExtent pfns = {run.pfn, run.count};
  const PfnSet& dirty = on_.memory.dirty().pfns();
  for (Pfn at = pfns.first; at < pfns.end(); at += PageCount(1)) {
    if (dirty.Contains(at) || state_->being_cleaned.Contains(at) ||
        granted.Contains(at)) {
      continue;
    }
    findings_.Add(absl::StrFormat(
        "a secondary MMU may write to pfn 0x%x, which the dirty log lacks",
        at.value()));
  }
}

}  // namespace simvisor
