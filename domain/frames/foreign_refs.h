// Frames that domains map which do not own them.
//
// Counts, per frame, the foreign mappings of it.  A frame that its owner gives
// back while the count is not zero is *held*: it stays the owner's, for no use
// of its own, with what it held last, until its last mapping goes.  (Xen's page
// references do the same: a page whose count is not zero stays allocated.)
//
// Costs: memory and time follow the number of frames that are mapped, never the
// size of a domain or of the machine.
//
// Thread safety: thread-compatible; FramePool serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_FRAMES_FOREIGN_REFS_H_
#define SIMVISOR_DOMAIN_FRAMES_FOREIGN_REFS_H_

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
  // What held frames hold is in pages of `store`.
  explicit ForeignRefs(std::shared_ptr<PageStore> store)
      : contents_(std::move(store)) {}

  struct Ref {
    uint64_t mappings = 0;  // at least 1
    bool held = false;
  };
  using Refs = absl::btree_map<Mfn, Ref>;

  const Refs& refs() const { return refs_; }

  // The first mapped frame of `frames`; None() if there is none.
  Mfn FirstIn(MfnExtent frames) const {
    return refs_.empty() ? Mfn::None() : FindFirstIn(frames);
  }
  bool IsHeld(Mfn mfn) const;

  // Counts one more mapping.  REQUIRES: !IsHeld(mfn).
  void Add(Mfn mfn) { ++refs_[mfn].mappings; }

  // Counts one mapping less; returns whether that leaves a held frame without
  // any, which is then held no more and nothing is known of it.
  // REQUIRES: the frame is mapped, and is `owner`'s.
  bool Drop(Mfn mfn, DomainId owner);

  // Holds a mapped frame which `owner` gives back; `content` is null for zeros.
  // REQUIRES: it is mapped and not held.
  void Hold(Mfn mfn, DomainId owner, PagePtr content);

  // Frames of `owner` that are held.
  PageCount HeldBy(DomainId owner) const;
  PageCount held() const { return held_; }
  // Domains with held frames.
  size_t owners() const { return held_by_.size(); }
  // What held frames hold.
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
