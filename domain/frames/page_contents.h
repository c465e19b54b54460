// What the frames of one owner hold, for the frames that were ever written.
//
// A frame that is not here reads as zeros and costs nothing.  Contents go with
// Drop() when a frame is freed, so no later owner can see them.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_FRAMES_PAGE_CONTENTS_H_
#define SIMVISOR_DOMAIN_FRAMES_PAGE_CONTENTS_H_

#include <array>
#include <cstdint>
#include <memory>

#include "absl/container/btree_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "domain/units/units.h"

namespace simvisor {

using Page = std::array<char, kPageSize>;

class PageContents {
 public:
  // The bytes of `mfn`, or null if it was never written since it was dropped.
  // Valid until the next call that is not const.
  const Page* Find(Mfn mfn) const;

  // The first frame of `frames` that was written; None() if there is none.
  Mfn FirstIn(MfnExtent frames) const;

  // Copies bytes of `mfn` from `offset` on to `out`.
  // REQUIRES: offset + out.size() <= kPageSize.
  void Read(Mfn mfn, uint64_t offset, absl::Span<char> out) const;

  // Overwrites bytes of `mfn` from `offset` on.  All zeros over a frame that is
  // not here cost nothing.  REQUIRES: offset + data.size() <= kPageSize.
  void Write(Mfn mfn, uint64_t offset, absl::string_view data);

  // Hand what a frame holds from one owner to another; null stands for zeros.
  // Put() REQUIRES: Find(mfn) is null.
  std::unique_ptr<Page> Take(Mfn mfn);
  void Put(Mfn mfn, std::unique_ptr<Page> page);

  // Forgets what `frames` hold.  Cost grows with what was written there, not
  // with the extent.
  void Drop(MfnExtent frames) {
    if (!pages_.empty()) DropWritten(frames);
  }

  // Frames with contents.
  size_t size() const { return pages_.size(); }

 private:
  void DropWritten(MfnExtent frames);

  absl::btree_map<Mfn, std::unique_ptr<Page>> pages_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_PAGE_CONTENTS_H_
