// mfn -> pfn, as a guest translates it (p2m.md A5).
//
// The machine has one table from frames to pfns (the m2p).  Every guest can
// read it, but none can trust it: an entry may be another domain's, or may lag
// behind a balloon that is working.  So a guest takes the entry as a candidate,
// which counts only if its own list maps that pfn to the frame.
//
// Thread safety: a pure function; P2mWords says when lookups may overlap
// writes.

#ifndef SIMVISOR_DOMAIN_P2M_M2P_H_
#define SIMVISOR_DOMAIN_P2M_M2P_H_

#include "domain/p2m/p2m_words.h"
#include "domain/units/units.h"

namespace simvisor {

// A guest's answer for a frame; None() if it has no answer.
struct MfnTranslation {
  // mfn_to_pfn().
  Pfn pfn = Pfn::None();
  // mfn_to_local_pfn(): the same pfn if it is the domain's own RAM.
  Pfn local = Pfn::None();

  friend bool operator==(const MfnTranslation&,
                         const MfnTranslation&) = default;
};

// The answer of the guest whose list has `words`.  `candidate` is the m2p entry
// of `mfn`, regardless of the frame's owner; None() if the frame is past the
// machine or has no entry.  Compares words as the guest stores them, including
// flag bits, so an mfn so large that it sets flag bits gets the kernel's
// answer.
MfnTranslation MfnToPfn(const P2mWords& words, Mfn mfn, Pfn candidate);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_M2P_H_
