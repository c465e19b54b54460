#include "domain/guest/guest_memory.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace simvisor {
namespace {

// Runs whose frames are collected in one call.
constexpr size_t kRunsPerLook = 1 << 12;

}  // namespace

GuestMemory::GuestMemory(std::unique_ptr<P2mWords> words,
                         std::shared_ptr<PageStore> store)
    : words_(std::move(words)), store_(std::move(store)), contents_(store_) {}

void GuestMemory::ReplaceWords(std::unique_ptr<P2mWords> words) {
  assert(kernel_pages_ == nullptr && contents_.size() == 0 &&
         unplaced_.empty());
  words_ = std::move(words);
}

const StructurePages& GuestMemory::list_pages() const {
  static const auto* const kNone = new StructurePages;
  return kernel_pages_ == nullptr ? *kNone : kernel_pages_->list_pages();
}

void GuestMemory::Read(Pfn pfn, uint64_t offset, absl::Span<char> out) const {
  assert(offset <= kPageSize && out.size() <= kPageSize - offset);
  Page page;
  if (Render(pfn, absl::MakeSpan(page))) {
    std::copy_n(page.begin() + offset, out.size(), out.begin());
  } else {
    contents_.Read(FrameAt(pfn), offset, out);
  }
}

void GuestMemory::Write(Pfn pfn, uint64_t offset, absl::string_view data,
                        std::vector<PagePtr>& spare) {
  WriteUnmarked(pfn, offset, data, spare);
  dirty_.Mark({pfn, PageCount(1)});
}

void GuestMemory::WriteUnmarked(Pfn pfn, uint64_t offset,
                                absl::string_view data,
                                std::vector<PagePtr>& spare) {
  assert(offset <= kPageSize && data.size() <= kPageSize - offset);
  contents_.Write(FrameAt(pfn), offset, data, spare);
}

bool GuestMemory::TakesPage(Pfn pfn, absl::string_view data) const {
  return contents_.TakesPage(FrameAt(pfn), data);
}

bool GuestMemory::IsWritten(Pfn pfn) const {
  return contents_.Find(FrameAt(pfn)) != nullptr;
}

void GuestMemory::Zero(const PfnSet& pages) {
  for (const auto& [first, end] : pages.extents()) {
    dirty_.Mark(ExtentBetween(first, end));
  }
  if (contents_.size() == 0) return;
  std::vector<MfnExtent> frames;
  for (const auto& [first, end] : pages.extents()) {
    for (Pfn at = first; at < end;) {
      at = words_->CollectFrames(ExtentBetween(at, end), kRunsPerLook, frames);
    }
  }
  Drop(frames);
}

void GuestMemory::Drop(absl::Span<const MfnExtent> frames) {
  for (const MfnExtent& extent : frames) contents_.Drop(extent);
}

void GuestMemory::ReadFrame(Mfn mfn, Pfn pfn, absl::Span<char> page,
                            bool* zero) const {
  *zero = false;
  if (!pfn.is_none() && Render(pfn, page)) return;
  const Page* content = contents_.Find(mfn);
  *zero = content == nullptr;
  if (content != nullptr) {
    std::copy(content->begin(), content->end(), page.begin());
  }
}

PagePtr GuestMemory::TakeContent(Mfn mfn, Pfn pfn) {
  // Most frames are not kernel pages and were never written; nothing is
  // allocated for them.
  Page page;
  if (!pfn.is_none() && Render(pfn, absl::MakeSpan(page))) {
    PagePtr copy = store_->TakeAnyway();
    *copy = page;
    return copy;
  }
  return contents_.Take(mfn);
}

ImageRun GuestMemory::RunForImage(Pfn at, Pfn end) const {
  assert(at < end);
  ImageRun run;
  run.pfns = ExtentBetween(at, end);
  if (at >= words_->size()) return run;
  const P2mRun words =
      words_->RunAt(at, std::min(end, words_->size()), RunMerge::kByFrame);
  run.pfns = words.pfns;
  if (words.word.Class() != P2mClass::kRam) return run;
  // Zeros end at the first page that holds something.
  const Mfn first(words.word.Number());
  const Mfn written = contents_.FirstIn({first, words.pfns.count});
  Pfn next = words.pfns.end();
  if (kernel_pages_ != nullptr) {
    next = std::min(next, kernel_pages_->NextFrom(at));
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
  if (Render(at, absl::MakeSpan(*run.data))) {
    run.table_level = kernel_pages_->TableLevel(at);
    run.pinned = run.table_level == words_->abi().page_table_levels;
  } else {
    *run.data = *contents_.Find(first);
  }
  return run;
}

}  // namespace simvisor
