#include "domain/frames/page_contents.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace simvisor {
namespace {

bool AllZeros(absl::string_view data) {
  return data.find_first_not_of('\0') == absl::string_view::npos;
}

}  // namespace

const Page* PageContents::Find(Mfn mfn) const {
  const auto it = pages_.find(mfn);
  return it == pages_.end() ? nullptr : it->second.get();
}

Mfn PageContents::FirstIn(MfnExtent frames) const {
  const auto at = pages_.lower_bound(frames.first);
  return at != pages_.end() && at->first < frames.end() ? at->first
                                                        : Mfn::None();
}

void PageContents::Read(Mfn mfn, uint64_t offset, absl::Span<char> out) const {
  assert(offset <= kPageSize && out.size() <= kPageSize - offset);
  const Page* page = Find(mfn);
  if (page == nullptr) {
    std::fill(out.begin(), out.end(), '\0');
  } else {
    std::copy_n(page->begin() + offset, out.size(), out.begin());
  }
}

bool PageContents::TakesPage(Mfn mfn, absl::string_view data) const {
  return !pages_.contains(mfn) && !AllZeros(data);
}

void PageContents::Write(Mfn mfn, uint64_t offset, absl::string_view data,
                         std::vector<PagePtr>& spare) {
  assert(offset <= kPageSize && data.size() <= kPageSize - offset);
  auto it = pages_.find(mfn);
  if (it == pages_.end()) {
    if (AllZeros(data)) return;
    assert(!spare.empty());
    it = pages_.try_emplace(mfn).first;
    it->second = std::move(spare.back());
    spare.pop_back();
  } else if (data.size() == kPageSize && AllZeros(data)) {
    pages_.erase(it);
    return;
  }
  std::copy(data.begin(), data.end(), it->second->begin() + offset);
}

PagePtr PageContents::Take(Mfn mfn) {
  const auto it = pages_.find(mfn);
  if (it == pages_.end()) return nullptr;
  PagePtr page = std::move(it->second);
  pages_.erase(it);
  return page;
}

void PageContents::Put(Mfn mfn, PagePtr page) {
  assert(Find(mfn) == nullptr);
  if (page != nullptr) pages_.emplace(mfn, std::move(page));
}

void PageContents::DropWritten(MfnExtent frames) {
  if (frames.empty()) return;
  pages_.erase(pages_.lower_bound(frames.first),
               pages_.lower_bound(frames.end()));
}

}  // namespace simvisor
