// A guest suspends and resumes, and what of it goes into an image (A9).

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/collections/state_codec.h"
#include "domain/vm/domain.h"

namespace simvisor {
namespace {

// Pages looked at between two looks at a StopCheck.
constexpr uint64_t kPagesPerStop = 4096;

absl::Status NotMigratable(DomainId id, absl::string_view operation,
                           absl::string_view why) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kDomainNotMigratable,
      absl::StrFormat("domain %d: %s: %s", id.value(), operation, why));
}

}  // namespace

absl::Status Domain::CheckCanTravel(absl::string_view operation) const {
  if (!spec_.pci_devices.empty()) {
    return NotMigratable(id_, operation,
                         absl::StrFormat("it has %d PCI devices passed "
                                         "through, which cannot move with it; "
                                         "create it without pci",
                                         spec_.pci_devices.size()));
  }
  if (!foreign_.empty()) {
    return NotMigratable(
        id_, operation,
        absl::StrFormat("%d words of its p2m list map frames of other domains, "
                        "the first at pfn 0x%x; unmap them first",
                        foreign_.size().value(),
                        foreign_.extents().begin()->first.value()));
  }
  SIMVISOR_RETURN_IF_ERROR(CheckNoRamBehindEnd(operation));
  const uint64_t reach = abi_->max_p2m_pfn();
  if (spec_.p2m.tools_view == ToolsView::kTree &&
      list_->last_pfn().value() > reach) {
    return NotMigratable(
        id_, operation,
        absl::StrFormat("its p2m list ends at pfn 0x%x, too large for a p2m "
                        "tree, which reaches 0x%x; create it with the linear "
                        "view",
                        list_->last_pfn().value(), reach));
  }
  return absl::OkStatus();
}

absl::Status Domain::CheckNoRamBehindEnd(absl::string_view operation) const {
  const Pfn end = list_->p2m_size();
  for (Pfn at = list_->last_pfn(); at < end;) {
    const P2mRun run =
        list_->RunAt(at, end, P2mView::kResolved, RunMerge::kByClass);
    if (run.word.Class() == P2mClass::kRam) {
      return NotMigratable(
          id_, operation,
          absl::StrFormat("pfn 0x%x is RAM, and tools see the list end at pfn "
                          "0x%x, so the page could not go with it; set it "
                          "missing first",
                          at.value(), list_->last_pfn().value()));
    }
    at = run.pfns.end();
  }
  return absl::OkStatus();
}

absl::Status Domain::CheckCanSuspend(absl::string_view operation) const {
  SIMVISOR_RETURN_IF_ERROR(CheckNotSuspended(operation));
  SIMVISOR_RETURN_IF_ERROR(CheckOwnKernel(operation));
  if (state_ == DomainState::kRunning) return CheckCanTravel(operation);
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kDomainNotRunning,
      absl::StrFormat("domain %d: %s: its guest does not run, so it cannot "
                      "suspend; unpause it",
                      id_.value(), operation));
}

absl::StatusOr<SuspendRecord> Domain::Suspend(absl::string_view operation,
                                              SuspendFor purpose,
                                              StopCheck stop) {
  SIMVISOR_RETURN_IF_ERROR(stop());
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(CheckCanSuspend(operation));
  if (purpose == SuspendFor::kSave) {
    SIMVISOR_RETURN_IF_ERROR(CheckNotMigrating(operation));
  }
  SIMVISOR_ASSIGN_OR_RETURN(const ToolsRoot root, list_->FindToolsRoot());
  SuspendRecord record;
  record.arch = abi_->arch;
  record.vcpus = vcpus_;
  record.pages = current_ - unmapped_frames_.size();
  record.tools = root;
  record.last_pfn = list_->last_pfn();
  record.generation = list_->generation();
  StateWriter notes;
  SIMVISOR_RETURN_IF_ERROR(EncodeKernel(notes, stop));
  record.notes = notes.bytes();
  SIMVISOR_RETURN_IF_ERROR(PlaceRecord(operation, stop, record));
  suspended_ = true;
  record.suspension = ++suspensions_;
  state_ = DomainState::kPaused;
  return record;
}

absl::Status Domain::PlaceRecord(absl::string_view operation, StopCheck stop,
                                 SuspendRecord& record) const {
  const bool linear = record.tools.view == ToolsView::kLinear;
  const size_t tables = linear ? 0 : abi_->page_table_levels;
  const size_t notes_pages =
      (record.notes.size() + SuspendRecord::kNotesPerPage - 1) /
      SuspendRecord::kNotesPerPage;
  const size_t needed = 4 + tables + notes_pages;
  SIMVISOR_ASSIGN_OR_RETURN(const std::vector<Pfn> pages,
                            UnwrittenFreePages(needed, stop));
  if (pages.size() < needed) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
        absl::StrFormat("domain %d: %s: its guest needs %d free pages that "
                        "hold nothing to suspend, and has %d; balloon it up",
                        id_.value(), operation, needed, pages.size()));
  }
  auto next = pages.begin();
  record.start_info = *next++;
  record.store = *next++;
  record.console = *next++;
  record.gdt = *next++;
  record.tables.assign(next, next + tables);
  if (linear) record.tables.push_back(list_->tools().root_page());
  record.notes_pages.assign(next + tables, pages.end());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Pfn>> Domain::UnwrittenFreePages(
    size_t most, StopCheck stop) const {
  std::vector<Pfn> pages;
  uint64_t looks = 0;
  for (const auto& [first, end] : free_pages_.set().extents()) {
    for (Pfn at = first; at < end; at += PageCount(1)) {
      if (pages.size() == most) return pages;
      if (++looks % kPagesPerStop == 0) SIMVISOR_RETURN_IF_ERROR(stop());
      if (contents_.Find(Mfn(list_->Lookup(at).Number())) == nullptr) {
        pages.push_back(at);
      }
    }
  }
  return pages;
}

absl::Status Domain::Resume(uint64_t suspension, bool paused, StopCheck stop) {
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(CheckAlive());
  if (!suspended_ || suspension != suspensions_) return absl::OkStatus();
  suspended_ = false;
  handover_ = Handover::kNone;
  // The pages of what is published are there; it is only written anew.
  SIMVISOR_RETURN_IF_ERROR(list_->Publish(free_pages_));
  if (paused) return absl::OkStatus();
  state_ = DomainState::kRunning;
  ReadTarget(stop).IgnoreError();
  return absl::OkStatus();
}

absl::Status Domain::CheckNotSuspended(absl::string_view operation) const {
  SIMVISOR_RETURN_IF_ERROR(CheckAlive());
  if (!suspended_) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kDomainSuspended,
      absl::StrFormat("domain %d: %s: its guest is suspended while it is saved "
                      "or handed over; wait until that is done",
                      id_.value(), operation));
}

absl::StatusOr<Pfn> Domain::ReadForImage(PfnExtent pfns, size_t max_runs,
                                         std::vector<ImageRun>& runs) const {
  absl::ReaderMutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(CheckAlive());
  Pfn at = pfns.first;
  for (size_t n = 0; n < max_runs && at < pfns.end(); ++n) {
    runs.push_back(RunForImage(at, pfns.end()));
    at = runs.back().pfns.end();
  }
  return at;
}

ImageRun Domain::RunForImage(Pfn at, Pfn end) const {
  ImageRun run;
  run.pfns = ExtentBetween(at, end);
  if (at >= words_->size()) return run;
  const P2mRun words =
      words_->RunAt(at, std::min(end, words_->size()), RunMerge::kByFrame);
  run.pfns = words.pfns;
  if (words.word.Class() != P2mClass::kRam) return run;
  // Up to the first page that holds something.
  const Mfn first(words.word.Number());
  const Mfn written = contents_.FirstIn({first, words.pfns.count});
  Pfn next = std::min(structure().NextFrom(at), words.pfns.end());
  if (address_spaces_ != nullptr) {
    next = std::min(next, address_spaces_->NextPageFrom(at));
  }
  if (!written.is_none()) next = std::min(next, at + (written - first));
  if (next > at) {
    run.kind = ImageRun::Kind::kZero;
    run.pfns = ExtentBetween(at, next);
    return run;
  }
  run.kind = ImageRun::Kind::kData;
  run.pfns = {at, PageCount(1)};
  run.data = std::make_unique<Page>();
  if (RenderKernelPage(at, absl::MakeSpan(*run.data))) {
    run.table_level = TableLevel(at);
    run.pinned = run.table_level == abi_->page_table_levels;
  } else {
    *run.data = *contents_.Find(first);
  }
  return run;
}

int Domain::TableLevel(Pfn pfn) const {
  const int level = list_ == nullptr ? 0 : list_->TableLevel(pfn);
  if (level > 0 || address_spaces_ == nullptr) return level;
  return address_spaces_->TableLevel(pfn);
}

absl::StatusOr<std::vector<Pfn>> Domain::LeafPages(uint64_t first,
                                                   size_t most) const {
  absl::ReaderMutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(CheckAlive());
  std::vector<Pfn> pages;
  if (list_ == nullptr) return pages;
  const uint64_t end = words_->size().value() / abi_->leaf_span();
  for (uint64_t leaf = first; leaf < end && pages.size() < most; ++leaf) {
    pages.push_back(list_->shape().LeafPageAt(leaf));
  }
  return pages;
}

Pfn Domain::PfnOfFrame(Mfn mfn) const {
  const FrameRun run = pool_.Lookup(mfn);
  return run.state == FrameState::kOwned && run.owner == id_ ? run.first_pfn
                                                             : Pfn::None();
}

}  // namespace simvisor
