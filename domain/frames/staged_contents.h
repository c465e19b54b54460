// What pages hold that have no frames yet, by pfn.
//
// Pages of zeros cost nothing.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_FRAMES_STAGED_CONTENTS_H_
#define SIMVISOR_DOMAIN_FRAMES_STAGED_CONTENTS_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/types/span.h"
#include "domain/frames/page_contents.h"
#include "domain/units/units.h"

namespace simvisor {

class StagedContents {
 public:
  // Sets what a page holds, kPageSize bytes.
  void Set(Pfn pfn, absl::Span<const char> data) {
    const bool zero = std::all_of(data.begin(), data.end(),
                                  [](char byte) { return byte == 0; });
    if (zero) {
      pages_.erase(pfn.value());
      return;
    }
    std::unique_ptr<Page>& page = pages_[pfn.value()];
    if (page == nullptr) page = std::make_unique<Page>();
    std::copy(data.begin(), data.end(), page->begin());
  }

  // Copies what a page holds; zeros if it was never set.
  void Read(Pfn pfn, absl::Span<char> out) const {
    const auto at = pages_.find(pfn.value());
    if (at == pages_.end()) {
      std::fill(out.begin(), out.end(), '\0');
    } else {
      std::copy(at->second->begin(), at->second->end(), out.begin());
    }
  }

  // Hands all pages to visit(pfn, page) in ascending order; none is left.
  template <typename Visit>
  void TakeAll(Visit visit) {
    for (auto& [pfn, page] : pages_) visit(pfn, std::move(page));
    pages_.clear();
  }

 private:
  absl::btree_map<uint64_t, std::unique_ptr<Page>> pages_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_STAGED_CONTENTS_H_
