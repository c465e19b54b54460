// Contents of pages that have no frames yet, by pfn.
//
// Pages of zeros cost nothing; others come from a PageStore and count there.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_FRAMES_STAGED_CONTENTS_H_
#define SIMVISOR_DOMAIN_FRAMES_STAGED_CONTENTS_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/error.h"
#include "domain/frames/page_store.h"
#include "domain/units/units.h"

namespace simvisor {

class StagedContents {
 public:
  // Stages pages of `owner`; they come from `store`.
  StagedContents(std::shared_ptr<PageStore> store, DomainId owner)
      : store_(std::move(store)), owner_(owner) {}

  // Sets the content of a page, kPageSize bytes.  A failure changes nothing;
  // errors as for PageStore::Take().
  absl::Status Set(Pfn pfn, absl::Span<const char> data) {
    const bool zero = std::all_of(data.begin(), data.end(),
                                  [](char byte) { return byte == 0; });
    if (zero) {
      pages_.erase(pfn.value());
      return absl::OkStatus();
    }
    auto at = pages_.find(pfn.value());
    if (at == pages_.end()) {
      if (const absl::Status status = store_->Take(1, taken_); !status.ok()) {
        return Within(
            absl::StrCat("domain ", owner_.value(), ": receive a page: "),
            status, {{fact::kDomid, owner_.value()}});
      }
      at = pages_.try_emplace(pfn.value()).first;
      at->second = std::move(taken_.back());
      taken_.pop_back();
    }
    std::copy(data.begin(), data.end(), at->second->begin());
    return absl::OkStatus();
  }

  // Copies the content of a page; zeros if it was never set.
  void Read(Pfn pfn, absl::Span<char> out) const {
    const auto at = pages_.find(pfn.value());
    if (at == pages_.end()) {
      std::fill(out.begin(), out.end(), '\0');
    } else {
      std::copy(at->second->begin(), at->second->end(), out.begin());
    }
  }

  // Passes all pages to visit(pfn, page) in ascending order and keeps none.
  template <typename Visit>
  void TakeAll(Visit visit) {
    for (auto& [pfn, page] : pages_) visit(pfn, std::move(page));
    pages_.clear();
  }

 private:
  std::shared_ptr<PageStore> store_;  // outlives the pages
  DomainId owner_;
  absl::btree_map<uint64_t, PagePtr> pages_;
  std::vector<PagePtr> taken_;  // empty between calls
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_STAGED_CONTENTS_H_
