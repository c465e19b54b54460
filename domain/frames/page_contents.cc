#include "domain/frames/page_contents.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace simvisor {

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

void PageContents::Write(Mfn mfn, uint64_t offset, absl::string_view data) {
  assert(offset <= kPageSize && data.size() <= kPageSize - offset);
  auto it = pages_.find(mfn);
  if (it == pages_.end()) {
    if (data.find_first_not_of('\0') == absl::string_view::npos) return;
    // Value-initialised: what is not written reads as zeros.
    it = pages_.emplace(mfn, std::make_unique<Page>()).first;
  }
  std::copy(data.begin(), data.end(), it->second->begin() + offset);
}

std::unique_ptr<Page> PageContents::Take(Mfn mfn) {
  const auto it = pages_.find(mfn);
  if (it == pages_.end()) return nullptr;
  std::unique_ptr<Page> page = std::move(it->second);
  pages_.erase(it);
  return page;
}

void PageContents::Put(Mfn mfn, std::unique_ptr<Page> page) {
  assert(Find(mfn) == nullptr);
  if (page != nullptr) pages_.emplace(mfn, std::move(page));
}

void PageContents::DropWritten(MfnExtent frames) {
  if (frames.empty()) return;
  pages_.erase(pages_.lower_bound(frames.first),
               pages_.lower_bound(frames.end()));
}

}  // namespace simvisor
