// The contents of one owner's frames, for frames that were written.
//
// A frame without an entry reads as zeros and costs nothing.  Drop() discards
// the contents of a freed frame, so that no later owner sees them.  Pages come
// from a PageStore: a caller that needs one takes it first, and then cannot
// fail.
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
  // Contents are pages of `store`.
  explicit PageContents(std::shared_ptr<PageStore> store)
      : store_(std::move(store)) {}
  PageContents(PageContents&&) noexcept = default;
  PageContents& operator=(PageContents&&) noexcept = default;

  // Discards everything.
  void Clear() { pages_.clear(); }

  // The bytes of `mfn`, or null if it was not written since it was last
  // dropped.  Valid until the next call that is not const.
  const Page* Find(Mfn mfn) const;

  // The first written frame of `frames`; None() if none of them was written.
  Mfn FirstIn(MfnExtent frames) const;

  // Copies bytes of `mfn` from `offset` on to `out`.
  // REQUIRES: offset + out.size() <= kPageSize.
  void Read(Mfn mfn, uint64_t offset, absl::Span<char> out) const;

  // Overwrites bytes of `mfn` from `offset` on.  Writing zeros to a frame
  // without an entry costs nothing, and writing zeros over a whole frame
  // removes its entry.  If TakesPage(), it takes the last page, which must be
  // zeros, of `spare`.
  // REQUIRES: offset + data.size() <= kPageSize; `spare` has a page if
  // TakesPage().
  void Write(Mfn mfn, uint64_t offset, absl::string_view data,
             std::vector<PagePtr>& spare);
  bool TakesPage(Mfn mfn, absl::string_view data) const;

  // Move the content of a frame from one owner to another; null means zeros.
  // REQUIRES: for Put(), Find(mfn) is null.
  PagePtr Take(Mfn mfn);
  void Put(Mfn mfn, PagePtr page);

  // Discards the contents of `frames`.  Cost grows with the number of written
  // frames, not with the extent.
  void Drop(MfnExtent frames) {
    if (!pages_.empty()) DropWritten(frames);
  }

  // The number of frames with contents.
  size_t size() const { return pages_.size(); }

 private:
  void DropWritten(MfnExtent frames);

  std::shared_ptr<PageStore> store_;  // outlives pages_
  absl::btree_map<Mfn, PagePtr> pages_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_PAGE_CONTENTS_H_
