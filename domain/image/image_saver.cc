#include "domain/image/image_saver.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "domain/image/guest_pages.h"
#include "domain/image/page_table.h"
#include "domain/units/error.h"
#include "domain/units/status_macros.h"

namespace simvisor {
namespace {

// Leaves named in one piece: 512 KiB of them.
constexpr size_t kLeavesPerPiece = size_t{1} << 16;

}  // namespace

ImageSaver::ImageSaver(std::shared_ptr<const Domain> domain,
                       SuspendRecord record, ImageLayer layer,
                       std::string config)
    : domain_(std::move(domain)),
      record_(std::move(record)),
      abi_(AbiOf(record_.arch)),
      layer_(layer),
      config_(std::move(config)) {
  made_[record_.start_info.value()] = MakeStartInfo(record_);
  made_[record_.gdt.value()] = Page{};
  for (size_t i = 0; i < record_.notes_pages.size(); ++i) {
    made_[record_.notes_pages[i].value()] = MakeNotesPage(record_, i);
  }
}

absl::Status ImageSaver::Next(std::string& out) {
  switch (step_) {
    case Step::kStart:
      AppendImageStart(layer_, config_, out);
      AppendPvInfo(record_.arch, out);
      AppendRecord(RecordType::kStaticDataEnd, "", out);
      AppendP2mFramesHead(abi_, record_.last_pfn - PageCount(1), out);
      step_ = Step::kP2mFrames;
      return absl::OkStatus();
    case Step::kP2mFrames:
      return AppendLeaves(out);
    case Step::kPages:
      return AppendBatch(out);
    case Step::kEnd:
      AppendTail(out);
      step_ = Step::kDone;
      return absl::OkStatus();
    case Step::kDone:
      break;
  }
  return absl::OkStatus();
}

absl::Status ImageSaver::AppendLeaves(std::string& out) {
  const uint64_t leaves = (record_.last_pfn.value() - 1) / abi_.leaf_span() + 1;
  const size_t most = std::min<uint64_t>(kLeavesPerPiece, leaves - next_leaf_);
  SIMVISOR_ASSIGN_OR_RETURN(const std::vector<Pfn> pages,
                            domain_->LeafPages(next_leaf_, most));
  AppendPfns(pages, out);
  next_leaf_ += pages.size();
  if (next_leaf_ == leaves) step_ = Step::kPages;
  return absl::OkStatus();
}

absl::Status ImageSaver::AppendBatch(std::string& out) {
  const PageCount count =
      std::min(PageCount(kBatchPages), record_.last_pfn - at_);
  SIMVISOR_ASSIGN_OR_RETURN(std::vector<ImagePage> pages,
                            domain_->ReadForImage({at_, count}));
  PageBatch batch;
  for (ImagePage& page : pages) {
    SIMVISOR_RETURN_IF_ERROR(AddPage(at_, std::move(page), batch));
    at_ += PageCount(1);
  }
  batch.AppendTo(out);
  if (at_ == record_.last_pfn) step_ = Step::kEnd;
  return absl::OkStatus();
}

absl::Status ImageSaver::AddPage(Pfn pfn, ImagePage page, PageBatch& batch) {
  const auto add = [&](PageType type, const Page& data) {
    batch.Add(pfn, type, absl::string_view(data.data(), data.size()));
    pages_sent_ += PageCount(1);
  };
  if (const auto made = made_.find(pfn.value()); made != made_.end()) {
    add(PageType::kNormal, made->second);
    return absl::OkStatus();
  }
  if (record_.tools.view == ToolsView::kTree) {
    const auto table =
        std::find(record_.tables.begin(), record_.tables.end(), pfn);
    if (table != record_.tables.end()) {
      const size_t i = table - record_.tables.begin();
      const int level = abi_.page_table_levels - static_cast<int>(i);
      const int pinned = i == 0 ? static_cast<int>(PageType::kPinned) : 0;
      add(static_cast<PageType>(level | pinned), MakeTable(record_, i));
      return absl::OkStatus();
    }
  }
  if (page.kind != ImagePage::Kind::kData) {
    batch.Add(pfn,
              page.kind == ImagePage::Kind::kZero ? PageType::kAllocate
                                                  : PageType::kAbsent,
              "");
    return absl::OkStatus();
  }
  if (page.table_level > 0) {
    SIMVISOR_RETURN_IF_ERROR(TranslateTable(
        abi_, page.table_level, absl::MakeSpan(*page.data),
        [this, pfn](uint64_t mfn, uint64_t* to) -> absl::Status {
          const Pfn target = domain_->PfnOfFrame(Mfn(mfn));
          *to = target.value();
          if (!target.is_none()) return absl::OkStatus();
          return MakeError(absl::StatusCode::kInternal, Reason::kInternal,
                           absl::StrFormat("the page table at pfn 0x%x names "
                                           "mfn 0x%x, which is not the "
                                           "domain's",
                                           pfn.value(), mfn));
        }));
  }
  const int pinned = page.pinned ? static_cast<int>(PageType::kPinned) : 0;
  add(static_cast<PageType>(page.table_level | pinned), *page.data);
  return absl::OkStatus();
}

void ImageSaver::AppendTail(std::string& out) const {
  AppendTscInfo(out);
  const Page shared_info = MakeSharedInfo(record_);
  AppendRecord(RecordType::kSharedInfo,
               absl::string_view(shared_info.data(), shared_info.size()), out);
  const std::string context = MakeContext(record_);
  for (uint32_t vcpu = 0; vcpu < record_.vcpus; ++vcpu) {
    AppendVcpu(RecordType::kX86PvVcpuBasic, vcpu, context, out);
  }
  AppendImageEnd(layer_, out);
}

}  // namespace simvisor
