// What the frames of one owner hold, for the frames that were ever written.
//
// A frame that is not here reads as zeros and costs nothing.  Contents go with
// Drop() when a frame is freed, so no later owner can see them.  Pages are
// those of a PageStore: what needs one gets it first, and then cannot fail.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_FRAMES_PAGE_CONTENTS_H_
#define SIMVISOR_DOMAIN_FRAMES_PAGE_CONTENTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "domain/frames/page_store.h"
#include "domain/units/units.h"

namespace simvisor {

class PageContents {
 public:
  // Of pages of `store`.
  explicit PageContents(std::shared_ptr<PageStore> store)
      : store_(std::move(store)) {}
  PageContents(PageContents&&) noexcept = default;
  PageContents& operator=(PageContents&&) noexcept = default;

  // Forgets everything.
  void Clear() { pages_.clear(); }

  // The bytes of `mfn`, or null if it was never written since it was dropped.
  // Valid until the next call that is not const.
  const Page* Find(Mfn mfn) const;

  // The first frame of `frames` that was written; None() if there is none.
  Mfn FirstIn(MfnExtent frames) const;

  // Copies bytes of `mfn` from `offset` on to `out`.
  // REQUIRES: offset + out.size() <= kPageSize.
  void Read(Mfn mfn, uint64_t offset, absl::Span<char> out) const;

  // Overwrites bytes of `mfn` from `offset` on.  All zeros over a frame that is
  // not here cost nothing, and those over a whole frame make it one that is not
  // here.  If TakesPage(), it takes the last of `spare`, a page of zeros.
  // REQUIRES: offset + data.size() <= kPageSize; there is one.
  void Write(Mfn mfn, uint64_t offset, absl::string_view data,
             std::vector<PagePtr>& spare);
  bool TakesPage(Mfn mfn, absl::string_view data) const;

  // Hand what a frame holds from one owner to another; null stands for zeros.
  // Put() REQUIRES: Find(mfn) is null.
  PagePtr Take(Mfn mfn);
  void Put(Mfn mfn, PagePtr page);

  // Forgets what `frames` hold.  Cost grows with what was written there, not
  // with the extent.
  void Drop(MfnExtent frames) {
    if (!pages_.empty()) DropWritten(frames);
  }

  // Frames with contents.
  size_t size() const { return pages_.size(); }

 private:
  void DropWritten(MfnExtent frames);

  std::shared_ptr<PageStore> store_;  // outlives pages_
  absl::btree_map<Mfn, PagePtr> pages_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_PAGE_CONTENTS_H_
