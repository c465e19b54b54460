// Memory in a save image: where the p2m list lies, and the pages.

#include <algorithm>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "domain/image/image_memory.h"
#include "domain/image/image_reader.h"

namespace simvisor {
namespace {

// Words read together: limits how much of a long record is buffered.
constexpr uint64_t kWordsPerUnit = 1024;

// One more type makes at most this many extents: of pages, of ordinary pages or
// tables, and the rest of an extent that it cuts in two.
constexpr uint64_t kNewStretches = 3;

// The most pfns in a batch: far more than any saver writes, and few enough to
// keep.
constexpr uint64_t kMaxBatch = uint64_t{1} << 20;

}  // namespace

absl::Status ImageReader::CheckMemoryAllowed() {
  if (!arch_.has_value()) {
    return Malformed("it comes before X86_PV_INFO");
  }
  // Version 2 has no STATIC_DATA_END record; it would be here.
  if (version_ < kImageVersion) static_data_ended_ = true;
  if (!static_data_ended_) return Malformed("it comes before STATIC_DATA_END");
  return absl::OkStatus();
}

absl::Status ImageReader::TakeP2mRange(absl::string_view unit) {
  SIMVISOR_RETURN_IF_ERROR(CheckMemoryAllowed());
  const Pfn first(LoadLe(unit.data(), 4));
  const Pfn last(LoadLe(unit.data() + 4, 4));
  if (first > last) {
    return Malformed(
        absl::StrFormat("pfns 0x%x to 0x%x: it ends before it "
                        "starts",
                        first.value(), last.value()));
  }
  if (first != Pfn(0) || types_.has_value()) {
    return Refuse(Reason::kImageUnsupported,
                  absl::StrFormat("pfns from 0x%x on: one record must cover "
                                  "all pfns",
                                  first.value()));
  }
  const Abi& abi = AbiOf(*arch_);
  if (last.value() >= abi.pfn_limit) {
    return Malformed(
        absl::StrFormat("pfns end at 0x%x: a guest of %s has pfns below 0x%x",
                        last.value(), abi.name, abi.pfn_limit));
  }
  left_ = last.value() / abi.words_per_page + 1;
  if (length_ != 8 + 8 * left_) {
    return Malformed(absl::StrFormat(
        "its body has %d bytes; %d leaves for pfns 0x0 to 0x%x make %d",
        length_, left_, last.value(), 8 + 8 * left_));
  }
  types_.emplace(last + PageCount(1));
  Expect(State::kP2mPages, 8 * std::min(left_, kWordsPerUnit));
  return absl::OkStatus();
}

absl::Status ImageReader::TakeP2mPages(absl::string_view unit) {
  const size_t pages = unit.size() / 8;
  SIMVISOR_RETURN_IF_ERROR(AskStop());
  SIMVISOR_RETURN_IF_ERROR(MakeRoom(p2m_pages_, pages));
  SIMVISOR_RETURN_IF_ERROR(Charge(pages * kBytesPerStretch));
  for (size_t i = 0; i < unit.size(); i += 8) {
    const Pfn page(LoadLe(unit.data() + i, 8));
    if (page >= types_->end()) {
      return Malformed(absl::StrFormat(
          "leaf %d lies in pfn 0x%x: the pfns end at 0x%x", p2m_pages_.size(),
          page.value(), types_->end().value()));
    }
    p2m_pages_.push_back(page.value());
    p2m_page_set_.Add({page, PageCount(1)});
    --left_;
  }
  if (left_ > 0) {
    Expect(State::kP2mPages, 8 * std::min(left_, kWordsPerUnit));
    return absl::OkStatus();
  }
  EndRecord();
  return sink_.OnP2mFrames(types_->end() - PageCount(1));
}

absl::Status ImageReader::TakeBatchHead(absl::string_view unit) {
  SIMVISOR_RETURN_IF_ERROR(CheckMemoryAllowed());
  if (!types_.has_value()) {
    return Malformed("it comes before X86_PV_P2M_FRAMES");
  }
  left_ = LoadLe(unit.data(), 4);
  if (left_ == 0) return Malformed("it names no pfn");
  if (left_ > kMaxBatch) {
    return Refuse(Reason::kImageUnsupported,
                  absl::StrFormat("a batch of %d pfns; at most %d are read",
                                  left_, kMaxBatch));
  }
  if (length_ < 8 + 8 * left_) {
    return Malformed(
        absl::StrFormat("its body has %d bytes; the words of %d pfns take %d",
                        length_, left_, 8 + 8 * left_));
  }
  batch_.clear();
  next_page_ = 0;
  Expect(State::kBatchWords, 8 * std::min(left_, kWordsPerUnit));
  return absl::OkStatus();
}

absl::Status ImageReader::TakeBatchWords(absl::string_view unit) {
  SIMVISOR_RETURN_IF_ERROR(MakeRoom(batch_, unit.size() / 8));
  for (size_t i = 0; i < unit.size(); i += 8) {
    const uint64_t word = LoadLe(unit.data() + i, 8);
    const BatchEntry entry = {Pfn(word & kEntryPfnMask),
                              static_cast<PageType>(word >> kPageTypeShift)};
    if (!IsPageType(word >> kPageTypeShift)) {
      return Malformed(
          absl::StrFormat("pfn 0x%x is of type %d, which no page "
                          "has",
                          entry.pfn.value(), word >> kPageTypeShift));
    }
    if (entry.pfn >= types_->end()) {
      return Malformed(absl::StrFormat("pfn 0x%x: the pfns end at 0x%x",
                                       entry.pfn.value(),
                                       types_->end().value()));
    }
    batch_.push_back(entry);
    --left_;
  }
  if (left_ == 0) return EndBatchWords();
  Expect(State::kBatchWords, 8 * std::min(left_, kWordsPerUnit));
  return absl::OkStatus();
}

absl::Status ImageReader::EndBatchWords() {
  const uint64_t pages =
      std::count_if(batch_.begin(), batch_.end(),
                    [](BatchEntry entry) { return CarriesData(entry.type); });
  const uint64_t wanted = 8 + 8 * batch_.size() + kPageSize * pages;
  if (length_ != wanted) {
    return Malformed(
        absl::StrFormat("its body has %d bytes; %d pfns with %d pages make %d",
                        length_, batch_.size(), pages, wanted));
  }
  for (size_t at = 0; !verifying_ && at < batch_.size();) {
    const size_t end = std::min(batch_.size(), at + kWordsPerUnit);
    SIMVISOR_RETURN_IF_ERROR(NoteTypes(at, end));
    at = end;
  }
  return NextBatchPage();
}

absl::Status ImageReader::NoteTypes(size_t first, size_t end) {
  SIMVISOR_RETURN_IF_ERROR(AskStop());
  SIMVISOR_RETURN_IF_ERROR(
      Charge((end - first) * kNewStretches * kBytesPerStretch));
  for (size_t i = first; i < end;) {
    size_t next = i + 1;
    while (next < end && batch_[next].type == batch_[i].type &&
           batch_[next].pfn == batch_[i].pfn + PageCount(next - i)) {
      ++next;
    }
    types_->Set({batch_[i].pfn, PageCount(next - i)}, batch_[i].type);
    i = next;
  }
  return sink_.OnBatch(absl::MakeConstSpan(batch_).subspan(first, end - first));
}

absl::Status ImageReader::NextBatchPage() {
  while (next_page_ < batch_.size() && !CarriesData(batch_[next_page_].type)) {
    ++next_page_;
  }
  if (next_page_ == batch_.size()) {
    if (batch_.capacity() > 2 * kWordsPerUnit) batch_ = {};
    EndRecord();
  } else {
    Expect(State::kBatchPage, kPageSize);
  }
  return absl::OkStatus();
}

absl::Status ImageReader::TakeBatchPage(absl::string_view page) {
  const BatchEntry entry = batch_[next_page_++];
  if (!verifying_) {
    SIMVISOR_RETURN_IF_ERROR(
        sink_.OnPage(entry, absl::MakeConstSpan(page.data(), page.size())));
  }
  return NextBatchPage();
}

}  // namespace simvisor
