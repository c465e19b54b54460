#include "domain/image/image_saver.h"

#include <algorithm>
#include <cassert>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/image/guest_pages.h"
#include "domain/image/page_table.h"

namespace simvisor {
namespace {

// Leaves in one piece: 512 KiB of them.
constexpr size_t kLeavesPerPiece = size_t{1} << 16;
// Virtual CPUs in one piece, of 5 KiB each.
constexpr uint32_t kVcpusPerPiece = 128;
// Runs read at a time; each may be a page.
constexpr size_t kRunsPerRead = 128;
// A batch is sent after this much data: 1 MiB.
constexpr size_t kDataPagesPerBatch = 256;

PageType TableType(int level, bool pinned) {
  return static_cast<PageType>(
      level | (pinned ? static_cast<int>(PageType::kPinned) : 0));
}

}  // namespace

ImageSaver::ImageSaver(std::shared_ptr<Domain> domain, SuspendRecord record,
                       ImageLayer layer, std::string config)
    : domain_(std::move(domain)),
      abi_(AbiOf(record.arch)),
      last_pfn_(record.last_pfn),
      layer_(layer),
      config_(std::move(config)),
      live_(false),
      record_(std::move(record)),
      pass_pfns_(last_pfn_ - Pfn(0)) {
  todo_.Add({Pfn(0), pass_pfns_});
  MakeRecordPages();
}

ImageSaver::ImageSaver(std::shared_ptr<Domain> domain, const LiveGuest& guest,
                       ImageLayer layer, std::string config)
    : domain_(std::move(domain)),
      abi_(AbiOf(guest.arch)),
      last_pfn_(guest.last_pfn),
      layer_(layer),
      config_(std::move(config)),
      live_(true),
      pass_pfns_(last_pfn_ - Pfn(0)) {
  todo_.Add({Pfn(0), pass_pfns_});
}

void ImageSaver::StartPass(PfnSet dirty) {
  assert(pass_done());
  todo_ = std::move(dirty);
  for (const auto& [first, end] : deferred_.extents()) {
    todo_.Add(ExtentBetween(first, end));
  }
  deferred_.Clear();
  // An image cannot name what the guest dirtied beyond its own end.
  todo_.Remove(ExtentBetween(last_pfn_, Pfn::None()));
  pass_pfns_ = todo_.size();
  step_ = Step::kPages;
}

void ImageSaver::StartLastPass(SuspendRecord record, PfnSet dirty) {
  assert(pass_done());
  record_ = std::move(record);
  MakeRecordPages();
  for (const auto& [pfn, made] : made_) dirty.Add({pfn, PageCount(1)});
  StartPass(std::move(dirty));
}

void ImageSaver::MakeRecordPages() {
  made_[record_->start_info] = {PageType::kNormal, MakeStartInfo(*record_)};
  made_[record_->gdt] = {PageType::kNormal, Page{}};
  for (size_t i = 0; i < record_->notes_pages.size(); ++i) {
    made_[record_->notes_pages[i]] = {PageType::kNormal,
                                      MakeNotesPage(*record_, i)};
  }
  if (record_->tools.view != ToolsView::kTree) return;
  for (size_t i = 0; i < record_->tables.size(); ++i) {
    const int level = abi_.page_table_levels - static_cast<int>(i);
    made_[record_->tables[i]] = {TableType(level, i == 0),
                                 MakeTable(*record_, i)};
  }
}

absl::Status ImageSaver::Next(std::string& out, StopCheck stop) {
  SIMVISOR_RETURN_IF_ERROR(stop());
  switch (step_) {
    case Step::kStart:
      AppendImageStart(layer_, config_, out);
      AppendPvInfo(abi_.arch, out);
      AppendRecord(RecordType::kStaticDataEnd, "", out);
      AppendP2mFramesHead(abi_, last_pfn_ - PageCount(1), out);
      step_ = Step::kP2mFrames;
      return absl::OkStatus();
    case Step::kP2mFrames:
      return AppendLeaves(out);
    case Step::kPages:
      return AppendBatch(out);
    case Step::kVcpus:
      AppendVcpus(out);
      return absl::OkStatus();
    case Step::kPassDone:
    case Step::kDone:
      break;
  }
  return absl::OkStatus();
}

absl::Status ImageSaver::AppendLeaves(std::string& out) {
  const uint64_t span = abi_.leaf_span();
  const uint64_t leaves = (last_pfn_.value() + span - 1) / span;
  const size_t most = std::min<uint64_t>(kLeavesPerPiece, leaves - next_leaf_);
  SIMVISOR_ASSIGN_OR_RETURN(const std::vector<Pfn> pages,
                            domain_->migration().LeafPages(next_leaf_, most));
  if (pages.empty()) {
    return MakeError(
        absl::StatusCode::kInternal, Reason::kInternal,
        absl::StrFormat("%s: save: its p2m list ends before leaf %d of %d, "
                        "which pfn 0x%x makes",
                        domain_->identity().ToString(), next_leaf_, leaves,
                        last_pfn_.value()));
  }
  AppendPfns(pages, out);
  next_leaf_ += pages.size();
  if (next_leaf_ == leaves) step_ = Step::kPages;
  return absl::OkStatus();
}

absl::Status ImageSaver::AppendBatch(std::string& out) {
  PageBatch batch;
  const PageCount data_before = pages_sent_;
  std::vector<ImageRun> runs;
  while (!todo_.empty() && !batch.full() &&
         (pages_sent_ - data_before).value() < kDataPagesPerBatch) {
    const PfnExtent pfns =
        todo_.TakeLowest(PageCount(kBatchPages - batch.size()));
    runs.clear();
    SIMVISOR_ASSIGN_OR_RETURN(const Pfn next, domain_->migration().ReadForImage(
                                                  pfns, kRunsPerRead, runs));
    for (ImageRun& run : runs) {
      SIMVISOR_RETURN_IF_ERROR(AddRun(std::move(run), batch));
    }
    if (next < pfns.end()) todo_.Add(ExtentBetween(next, pfns.end()));
  }
  if (!batch.empty()) batch.AppendTo(out);
  if (!todo_.empty()) return absl::OkStatus();
  if (record_.has_value()) {
    AppendShared(out);
    step_ = Step::kVcpus;
  } else {
    step_ = Step::kPassDone;
  }
  return absl::OkStatus();
}

absl::Status ImageSaver::AddRun(ImageRun run, PageBatch& batch) {
  if (run.kind == ImageRun::Kind::kData) return AddData(std::move(run), batch);
  for (Pfn at = run.pfns.first; at < run.pfns.end();) {
    // Pages of the record have no content while the guest runs.
    const auto made = made_.lower_bound(at);
    const Pfn end = made == made_.end() ? run.pfns.end()
                                        : std::min(run.pfns.end(), made->first);
    if (run.kind == ImageRun::Kind::kZero) {
      AddZeros(ExtentBetween(at, end), batch);
    } else {
      batch.AddEmpty(ExtentBetween(at, end), PageType::kAbsent);
    }
    at = end;
    if (at == run.pfns.end()) break;
    AddPage(at, made->second.type, made->second.page, batch);
    at += PageCount(1);
  }
  return absl::OkStatus();
}

void ImageSaver::AddZeros(PfnExtent pfns, PageBatch& batch) {
  if (sent_data_.CountIn(pfns) == PageCount(0)) {
    batch.AddEmpty(pfns, PageType::kAllocate);
    return;
  }
  const Page zeros{};
  for (Pfn at = pfns.first; at < pfns.end(); at += PageCount(1)) {
    if (sent_data_.Contains(at)) {
      AddPage(at, PageType::kNormal, zeros, batch);
      sent_data_.Remove({at, PageCount(1)});
    } else {
      batch.AddEmpty({at, PageCount(1)}, PageType::kAllocate);
    }
  }
}

void ImageSaver::AddPage(Pfn pfn, PageType type, const Page& page,
                         PageBatch& batch) {
  batch.Add(pfn, type, absl::string_view(page.data(), page.size()));
  if (live_) sent_data_.Add({pfn, PageCount(1)});
  pages_sent_ += PageCount(1);
}

absl::Status ImageSaver::AddData(ImageRun run, PageBatch& batch) {
  const Pfn pfn = run.pfns.first;
  if (run.table_level > 0) {
    const auto pfn_of = [this, pfn](uint64_t mfn,
                                    uint64_t* to) -> absl::Status {
      const Pfn target = domain_->migration().PfnOfFrame(Mfn(mfn));
      *to = target.value();
      if (!target.is_none()) return absl::OkStatus();
      return MakeError(absl::StatusCode::kInternal, Reason::kInternal,
                       absl::StrFormat("the page table at pfn 0x%x names mfn "
                                       "0x%x, which is not the domain's",
                                       pfn.value(), mfn));
    };
    const absl::Status status = TranslateTable(
        abi_, run.table_level, absl::MakeSpan(*run.data), pfn_of);
    if (!status.ok()) {
      if (record_.has_value()) return status;
      deferred_.Add({pfn, PageCount(1)});
      batch.AddEmpty({pfn, PageCount(1)}, PageType::kAbsent);
      return absl::OkStatus();
    }
  }
  AddPage(pfn, TableType(run.table_level, run.pinned), *run.data, batch);
  return absl::OkStatus();
}

void ImageSaver::AppendShared(std::string& out) const {
  AppendTscInfo(out);
  const Page shared_info = MakeSharedInfo(*record_);
  AppendRecord(RecordType::kSharedInfo,
               absl::string_view(shared_info.data(), shared_info.size()), out);
}

void ImageSaver::AppendVcpus(std::string& out) {
  const std::string context = MakeContext(*record_);
  const uint32_t end = std::min(record_->vcpus, next_vcpu_ + kVcpusPerPiece);
  for (; next_vcpu_ < end; ++next_vcpu_) {
    AppendVcpu(RecordType::kX86PvVcpuBasic, next_vcpu_, context, out);
  }
  if (next_vcpu_ < record_->vcpus) return;
  AppendImageEnd(layer_, out);
  step_ = Step::kDone;
}

}  // namespace simvisor
