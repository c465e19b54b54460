// Frames that are mapped by domains that do not own them.
//
// Counts the foreign mappings of each frame.  If the owner frees a frame while
// the count is not zero, the frame is *held*: it stays the owner's, unusable
// and with its last content, until its last mapping is removed.  (Xen's page
// references work like this: a page whose count is not zero stays allocated.)
//
// Costs: memory and time grow with the number of frames that are mapped, not
// with the size of a domain or of the machine.
//
// Thread safety: thread-compatible; FramePool serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_FRAMES_FOREIGN_REFS_H_
#define SIMVISOR_DOMAIN_FRAMES_FOREIGN_REFS_H_

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "domain/frames/page_contents.h"
#include "domain/units/units.h"

namespace simvisor {

class ForeignRefs {
 public:
  // Contents of held frames are pages of `store`.
  explicit ForeignRefs(std::shared_ptr<PageStore> store)
      : contents_(std::move(store)) {}

  struct Ref {
    uint64_t mappings = 0;  // at least 1
    bool held = false;
  };
  using Refs = absl::btree_map<Mfn, Ref>;

  const Refs& refs() const { return refs_; }

  // The first mapped frame of `frames`; None() if none of them is mapped.
  Mfn FirstIn(MfnExtent frames) const {
    return refs_.empty() ? Mfn::None() : FindFirstIn(frames);
  }
  bool IsHeld(Mfn mfn) const;

  // Counts one more mapping.
  // REQUIRES: !IsHeld(mfn).
  void Add(Mfn mfn) {
    assert(!IsHeld(mfn));
    ++refs_[mfn].mappings;
  }

  // Counts one mapping less.  Returns true if that was the last mapping of a
  // held frame; the frame is then no longer held and forgotten here.
  // REQUIRES: the frame is mapped and belongs to `owner`.
  bool Drop(Mfn mfn, DomainId owner);

  // Holds a mapped frame that `owner` frees; `content` is null for zeros.
  // REQUIRES: the frame is mapped and not held.
  void Hold(Mfn mfn, DomainId owner, PagePtr content);

  // How many frames of `owner` are held.
  PageCount HeldBy(DomainId owner) const;
  PageCount held() const { return held_; }
  // How many domains have held frames.
  size_t owners() const { return held_by_.size(); }
  // Contents of held frames.
  const PageContents& contents() const { return contents_; }

 private:
  Mfn FindFirstIn(MfnExtent frames) const;

  Refs refs_;
  PageCount held_;
  absl::flat_hash_map<DomainId, PageCount> held_by_;  // never zero
  PageContents contents_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_FOREIGN_REFS_H_
